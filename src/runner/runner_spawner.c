#include "runner/runner_spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"

struct runner_spawner {
    int socket;
    pid_t pid;
};

/* From the server; a start has three descriptors with it. */
struct request {
    uint64_t id;
    uint32_t what;
    bool is_kill;
};

union control {
    char bytes[CMSG_SPACE(3 * sizeof(int))];
    struct cmsghdr align;
};

/* ---- in the child ---- */

static void limit(int which, int64_t soft, int64_t hard)
{
    const struct rlimit r = {(rlim_t)soft, (rlim_t)hard};
    if (setrlimit((__rlimit_resource_t)which, &r) != 0)
        _exit(126);
}

static void set_limits(const struct runner_spawn *spawn)
{
    limit(RLIMIT_CORE, 0, 0);
    if (spawn->cpu_s > 0)
        limit(RLIMIT_CPU, spawn->cpu_s, spawn->cpu_s + 1);
    if (spawn->memory_bytes > 0)
        limit(RLIMIT_DATA, spawn->memory_bytes, spawn->memory_bytes);
    // When the machine is out of memory, the kernel shall take a child and not the server.
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t written = write(fd, "500", 3);
    (void)written; // where /proc forbids it nothing is lost but the preference
    close(fd);
}

/* Signals as a program expects them: ours are blocked and SIGPIPE is ignored. */
static void reset_signals(void)
{
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Writes errno to the pipe, which an exec closes. */
static _Noreturn void give_up(int report)
{
    int error = errno;
    ssize_t written = write(report, &error, sizeof(error));
    (void)written;
    _exit(127);
}

static _Noreturn void become(const struct runner_spawn *spawn, pid_t parent, int report,
                             const int fds[static 3])
{
    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(126);
    for (int i = 0; i < 3; i++)
        if (dup2(fds[i], i) < 0)
            give_up(report);
    if (report != 3 && dup3(report, 3, O_CLOEXEC) < 0)
        give_up(report);
    report = 3;
    close_range(4, ~0U, 0);
    reset_signals();
    if (spawn->directory && chdir(spawn->directory) != 0)
        give_up(report);
    set_limits(spawn);
    if (!spawn->argv) {
        close(report);
        spawn->code(spawn->ctx);
        _exit(0);
    }
    execvpe(spawn->argv[0], spawn->argv, spawn->environment);
    give_up(report);
}

/* ---- in the spawner ---- */

struct child {
    pid_t pid; // 0: none
    uint64_t id;
};

struct spawner {
    const struct runner_spawn *table;
    size_t count;
    int socket;
    struct child children[RUNNER_SPAWNER_MAX_CHILDREN];
};

static _Noreturn void end(struct spawner *s)
{
    for (size_t i = 0; i < RUNNER_SPAWNER_MAX_CHILDREN; i++)
        if (s->children[i].pid > 0)
            kill(-s->children[i].pid, SIGKILL);
    _exit(0);
}

static void tell(struct spawner *s, const struct runner_end *message)
{
    ssize_t sent;
    do
        sent = send(s->socket, message, sizeof(*message), MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        end(s);
}

static struct child *find(struct spawner *s, pid_t pid, uint64_t id)
{
    for (size_t i = 0; i < RUNNER_SPAWNER_MAX_CHILDREN; i++) {
        struct child *c = &s->children[i];
        if (pid >= 0 ? c->pid == pid : c->pid > 0 && c->id == id)
            return c;
    }
    return NULL;
}

/* 0, or the errno of what went wrong, up to the exec. */
static int fork_child(struct spawner *s, const struct request *r, const int fds[static 3])
{
    int report[2], error = 0;
    pid_t self = getpid();
    struct child *place = find(s, 0, 0);
    if (!place || r->what >= s->count)
        return EAGAIN;
    if (pipe2(report, O_CLOEXEC) != 0)
        return errno;
    pid_t pid = fork();
    if (pid == 0)
        become(&s->table[r->what], self, report[1], fds);
    error = pid < 0 ? errno : 0;
    close(report[1]);
    if (pid > 0) {
        setpgid(pid, pid); // whoever is first: a kill must find the group
        ssize_t got;
        do
            got = read(report[0], &error, sizeof(error));
        while (got < 0 && errno == EINTR);
        if (got == (ssize_t)sizeof(error))
            waitpid(pid, NULL, 0); // nobody hears of it but by error
        else
            *place = (struct child){pid, r->id};
    }
    close(report[0]);
    return error;
}

static void take_request(struct spawner *s)
{
    struct request r = {0};
    union control control;
    int fds[3] = {-1, -1, -1};
    struct iovec part = {&r, sizeof(r)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(s->socket, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got != (ssize_t)sizeof(r))
        end(s);
    if (r.is_kill) {
        const struct child *c = find(s, -1, r.id);
        if (c)
            kill(-c->pid, SIGKILL);
        return;
    }
    const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (!head || head->cmsg_type != SCM_RIGHTS || head->cmsg_len != CMSG_LEN(sizeof(fds)))
        end(s);
    memcpy(fds, CMSG_DATA(head), sizeof(fds));
    int error = fork_child(s, &r, fds);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    if (error != 0)
        tell(s, &(struct runner_end){.id = r.id, .error = error});
}

/* The group is swept before its leader is reaped: until then nobody else can have its number. */
static void reap(struct spawner *s)
{
    for (;;) {
        siginfo_t info = {0};
        struct rusage usage = {0};
        struct runner_end message = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            return;
        kill(-info.si_pid, SIGKILL);
        if (wait4(info.si_pid, &message.status, 0, &usage) < 0)
            return;
        struct child *c = find(s, info.si_pid, 0);
        if (!c)
            continue;
        message.id = c->id;
        message.max_rss_kib = usage.ru_maxrss;
        *c = (struct child){0};
        tell(s, &message);
    }
}

/* The operator's signals are the server's to act on: it drains, and ends us by the socket. */
static _Noreturn void spawn_for_ever(struct spawner *s)
{
    sigset_t all, child;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    signal(SIGCHLD, SIG_DFL);
    int ends = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (ends < 0)
        _exit(1);
    prctl(PR_SET_NAME, "viche-spawner");
    struct pollfd fds[2] = {{.fd = s->socket, .events = POLLIN}, {.fd = ends, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            end(s);
        if (fds[1].revents) {
            struct signalfd_siginfo info[8];
            while (read(ends, info, sizeof(info)) > 0)
                continue;
            reap(s);
        }
        if (fds[0].revents)
            take_request(s);
    }
}

/* ---- in the server ---- */

struct runner_spawner *runner_spawner_new(const struct runner_spawn *table, size_t count)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        log_error("at=runner_spawner.new errno=%d", errno);
        return NULL;
    }
    pid_t pid = fork();
    if (pid == 0) {
        static struct spawner s;
        close(pair[0]);
        s.table = table;
        s.count = count;
        s.socket = pair[1];
        spawn_for_ever(&s);
    }
    close(pair[1]);
    if (pid < 0) {
        log_error("at=runner_spawner.fork errno=%d", errno);
        close(pair[0]);
        return NULL;
    }
    struct runner_spawner *s = MEM_NEW(struct runner_spawner);
    s->socket = pair[0];
    s->pid = pid;
    return s;
}

int runner_spawner_fd(const struct runner_spawner *s)
{
    return s->socket;
}

static enum err request(struct runner_spawner *s, const struct msghdr *message)
{
    ssize_t sent;
    do
        sent = sendmsg(s->socket, message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return OK;
    log_error("at=runner_spawner.request errno=%d", errno);
    return ERR_IO;
}

enum err runner_spawner_start(struct runner_spawner *s, uint64_t id, size_t what,
                              const int fds[static 3])
{
    struct request r = {.id = id, .what = (uint32_t)what};
    struct iovec part = {&r, sizeof(r)};
    union control control = {{0}};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(3 * sizeof(int));
    memcpy(CMSG_DATA(head), fds, 3 * sizeof(int));
    return request(s, &message);
}

enum err runner_spawner_kill(struct runner_spawner *s, uint64_t id)
{
    struct request r = {.id = id, .is_kill = true};
    struct iovec part = {&r, sizeof(r)};
    return request(s, &(struct msghdr){.msg_iov = &part, .msg_iovlen = 1});
}

enum err runner_spawner_read(struct runner_spawner *s, struct runner_end *out)
{
    ssize_t got = recv(s->socket, out, sizeof(*out), MSG_DONTWAIT);
    if (got == (ssize_t)sizeof(*out))
        return OK;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return ERR_AGAIN;
    log_error("at=runner_spawner.read errno=%d why=\"the spawner is gone\"", got < 0 ? errno : 0);
    return ERR_IO;
}

void runner_spawner_free(struct runner_spawner *s)
{
    if (!s)
        return;
    close(s->socket);
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    mem_free(s);
}
