/* hub_admission.c -- counts are shared by all loops: a number for each app, changed by atomic
 * addition, and, for apps that limit them, a table of addresses under a lock that is held for one
 * look-up when a connection comes or goes. */
#include "hub/hub_admission.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/check.h"
#include "core/mem.h"
#include "hub/hub_socket.h"

struct hub_counted_address {
    int64_t count;
    size_t key_len;
    char key[]; // slot, slash, address
};

struct hub_admissions {
    atomic_int_least64_t connections[HUB_APP_MAX_SLOTS];
    pthread_mutex_t lock;
    struct map addresses; // struct hub_counted_address by key
};

/* ---- origins ---- */

/* '*' stands for any text. */
static bool fits(struct str pattern, struct str text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.at[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.len && pattern.at[p] == text.at[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) { // let the last star stand for one more
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.at[p] == '*')
        p++;
    return p == pattern.len;
}

/* "https://user@host:8443/x" -> "host"; empty: it has no scheme, or no host. */
static struct str host_of(struct str origin)
{
    size_t colon = str_index(origin, ':');
    if (colon == 0 || origin.len < colon + 3 || memcmp(origin.at + colon, "://", 3) != 0)
        return STR("");
    struct str host = {origin.at + colon + 3, 0};
    size_t max = origin.len - colon - 3;
    bool is_bracketed = max > 0 && host.at[0] == '[';
    while (host.len < max && !strchr("/?#", host.at[host.len]) &&
           (is_bracketed || host.at[host.len] != ':')) {
        if (is_bracketed && host.at[host.len] == ']')
            is_bracketed = false;
        host.len++;
    }
    return host;
}

bool hub_admission_allows_origin(const struct hub_app *app, struct str origin)
{
    if (app->allowed_origin_count == 0)
        return true;
    struct str host = host_of(origin);
    for (size_t i = 0; i < app->allowed_origin_count && host.len > 0; i++)
        if (fits(app->allowed_origins[i], host))
            return true;
    return false;
}

/* ---- counting ---- */

void hub_admission_address(const char *peer, char out[static HUB_ADMISSION_ADDRESS_BYTES])
{
    struct in6_addr v6;
    if (inet_pton(AF_INET6, peer, &v6) == 1 && !IN6_IS_ADDR_V4MAPPED(&v6)) {
        memset(v6.s6_addr + 8, 0, 8);
        CHECK(inet_ntop(AF_INET6, &v6, out, HUB_ADMISSION_ADDRESS_BYTES));
    } else {
        snprintf(out, HUB_ADMISSION_ADDRESS_BYTES, "%s", peer);
    }
}

struct hub_admissions *hub_admission_new(void)
{
    struct hub_admissions *a = MEM_NEW(struct hub_admissions);
    CHECK(pthread_mutex_init(&a->lock, NULL) == 0);
    map_init(&a->addresses);
    return a;
}

void hub_admission_free(struct hub_admissions *a)
{
    if (!a)
        return;
    CHECK(a->addresses.count == 0);
    map_done(&a->addresses);
    pthread_mutex_destroy(&a->lock);
    mem_free(a);
}

static struct str key_of(const struct hub_counted_address *c)
{
    return (struct str){c->key, c->key_len};
}

/* NULL: it has as many as it may. */
static struct hub_counted_address *count_address(struct hub_admissions *a,
                                                 const struct hub_app *app, const char *address)
{
    char text[HUB_ADMISSION_ADDRESS_BYTES + 24];
    int len = snprintf(text, sizeof(text), "%zu/%s", app->slot, address);
    struct str key = {text, (size_t)len};
    CHECK(pthread_mutex_lock(&a->lock) == 0);
    struct hub_counted_address *c = map_find(&a->addresses, key);
    if (!c) {
        c = mem_zalloc(sizeof(*c) + key.len);
        memcpy(c->key, key.at, key.len);
        c->key_len = key.len;
        map_put(&a->addresses, key_of(c), c);
    }
    if (c->count < app->max_connections_per_address)
        c->count++;
    else
        c = NULL;
    CHECK(pthread_mutex_unlock(&a->lock) == 0);
    return c;
}

static void uncount_address(struct hub_admissions *a, struct hub_counted_address *c)
{
    CHECK(pthread_mutex_lock(&a->lock) == 0);
    if (--c->count == 0) {
        map_remove(&a->addresses, key_of(c));
        mem_free(c);
    }
    CHECK(pthread_mutex_unlock(&a->lock) == 0);
}

struct hub_refusal hub_admission_enter(struct hub_admissions *a, const struct hub_app *app,
                                       const char *address, struct hub_admitted *out)
{
    atomic_int_least64_t *count = &a->connections[app->slot];
    *out = (struct hub_admitted){0};
    int64_t before = atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    if (app->max_connections > 0 && before >= app->max_connections) {
        atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
        return (struct hub_refusal){HUB_ERROR_QUOTA, STR("Application is over connection quota")};
    }
    if (app->max_connections_per_address > 0) {
        out->address = count_address(a, app, address);
        if (!out->address) {
            atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
            return (struct hub_refusal){HUB_ERROR_OVER_CAPACITY,
                                        STR("Too many connections from this address")};
        }
    }
    out->is_counted = true;
    return (struct hub_refusal){0};
}

void hub_admission_leave(struct hub_admissions *a, const struct hub_app *app,
                         const struct hub_admitted *admitted)
{
    if (!admitted->is_counted)
        return;
    atomic_fetch_sub_explicit(&a->connections[app->slot], 1, memory_order_relaxed);
    if (admitted->address)
        uncount_address(a, admitted->address);
}

int64_t hub_admission_count(const struct hub_admissions *a, const struct hub_app *app)
{
    return atomic_load_explicit(&a->connections[app->slot], memory_order_relaxed);
}
