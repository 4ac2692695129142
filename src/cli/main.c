/* main.c -- the program's start: everything else is in the commands. */
#include <sys/stat.h>

#include "cli/cli.h"
#include "core/crypto.h"

int main(int argc, char **argv)
{
    umask(077); // what we write holds people's data
    crypto_init();
    return cli_main(argc, argv);
}
