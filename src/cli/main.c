/* main.c -- the program's start: everything else is in the commands. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/crypto.h"

/* What the pages' dates are in when TZ says nothing: by its rule, so that no zone file is needed.
 */
static const char kyiv_time[] = "EET-2EEST,M3.5.0/3,M10.5.0/4";

/* No file of ours shall have the number of a stream that the caller has closed: what is printed or
 * logged would be written into it. */
static void fill_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    fill_streams();
    signal(SIGXFSZ, SIG_IGN); // over ulimit -f is an error like a full disk
    umask(077);               // what we write holds people's data
    crypto_init();
    setenv("TZ", kyiv_time, 0);
    return cli_main(argc, argv);
}
