/* main.c -- the program's start: everything else is in the commands. */
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "core/crypto.h"

/* What the pages' dates are in when TZ says nothing: by its rule, so that no zone file is needed.
 */
static const char kyiv_time[] = "EET-2EEST,M3.5.0/3,M10.5.0/4";

int main(int argc, char **argv)
{
    umask(077); // what we write holds people's data
    crypto_init();
    setenv("TZ", kyiv_time, 0);
    return cli_main(argc, argv);
}
