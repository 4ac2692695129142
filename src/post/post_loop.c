/* post_loop.c -- the descriptors are in an epoll set, which is to curl one descriptor more: curl's
 * own poll does not tell that the other side of a pipe has closed it. */
#include "post/post_loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"

enum { MAX_EVENTS = 64, MAX_NAP_MS = 60 * 1000 };

struct post_loop {
    struct post_loop_options options;
    pthread_t thread;
    atomic_bool is_over;
    CURLM *multi;
    int epoll;
    int posting, watching;
    struct epoll_event ready[MAX_EVENTS]; // of this turn; .data.ptr NULL: unwatched meanwhile
    int ready_count;
};

static void read_results(struct post_loop *l)
{
    int left = 0;
    const CURLMsg *m;
    while ((m = curl_multi_info_read(l->multi, &left))) {
        char *post = NULL;
        CURLcode result = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        CHECK(curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &post) == CURLE_OK);
        l->options.on_posted(l->options.ctx, (struct post *)(void *)post, result);
    }
}

static void read_watches(struct post_loop *l)
{
    l->ready_count = epoll_wait(l->epoll, l->ready, MAX_EVENTS, 0);
    for (int i = 0; i < l->ready_count; i++) {
        struct post_watch *w = l->ready[i].data.ptr;
        if (w)
            w->on_ready(w);
    }
    l->ready_count = 0;
}

static void *run(void *arg)
{
    struct post_loop *l = arg;
    while (!atomic_load(&l->is_over)) {
        struct curl_waitfd watches = {.fd = l->epoll, .events = CURL_WAIT_POLLIN};
        int running = 0;
        int64_t nap_ms = l->options.turn(l->options.ctx);
        curl_multi_perform(l->multi, &running);
        read_results(l);
        nap_ms = nap_ms < 0 ? 0 : nap_ms > MAX_NAP_MS ? MAX_NAP_MS : nap_ms;
        curl_multi_poll(l->multi, &watches, 1, (int)nap_ms, NULL);
        read_watches(l);
    }
    return NULL;
}

enum err post_loop_begin(struct post_loop *l, struct post *p)
{
    enum err err = post_begin(p, l->multi);
    l->posting += !err;
    return err;
}

void post_loop_end(struct post_loop *l, struct post *p)
{
    post_end(p, l->multi);
    l->posting--;
}

enum err post_loop_watch(struct post_loop *l, struct post_watch *w, bool for_write)
{
    struct epoll_event event = {.events = for_write ? EPOLLOUT : EPOLLIN, .data.ptr = w};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, w->fd, &event) != 0) {
        log_error("at=post_loop.watch errno=%d", errno);
        return ERR_IO;
    }
    l->watching++;
    return OK;
}

void post_loop_unwatch(struct post_loop *l, struct post_watch *w)
{
    CHECK(epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL) == 0);
    l->watching--;
    for (int i = 0; i < l->ready_count; i++)
        if (l->ready[i].data.ptr == w)
            l->ready[i].data.ptr = NULL;
}

void post_loop_wake(struct post_loop *l)
{
    curl_multi_wakeup(l->multi);
}

/* ---- new, stop, free ---- */

static void release(struct post_loop *l)
{
    if (l->epoll >= 0)
        close(l->epoll);
    curl_multi_cleanup(l->multi);
    curl_global_cleanup();
    mem_free(l);
}

struct post_loop *post_loop_new(const struct post_loop_options *options)
{
    struct post_loop *l = MEM_NEW(struct post_loop);
    l->options = *options;
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    l->multi = curl_multi_init();
    CHECK(l->multi != NULL);
    curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, (long)options->max_idle_connections);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0)
        log_error("at=post_loop.new errno=%d", errno);
    else if (!thread_start(&l->thread, l->options.name, run, l))
        return l;
    release(l);
    return NULL;
}

void post_loop_stop(struct post_loop *l)
{
    atomic_store(&l->is_over, true);
    curl_multi_wakeup(l->multi);
    pthread_join(l->thread, NULL);
}

void post_loop_free(struct post_loop *l)
{
    CHECK(l->posting == 0 && l->watching == 0);
    release(l);
}
