#include "hub/hub_identity.h"

#include "core/mem.h"
#include "hub/hub_socket.h"

struct hub_person {
    struct hub_tenant *tenant;
    struct list identities; // never empty
    size_t key_len;
    char key[];
};

static struct str key_of(const struct hub_person *p)
{
    return (struct str){p->key, p->key_len};
}

static struct hub_person *get_person(struct hub_tenant *t, struct str key)
{
    struct hub_person *p = map_find(&t->people, key);
    if (p)
        return p;
    p = mem_zalloc(sizeof(*p) + key.len);
    p->tenant = t;
    list_init(&p->identities);
    p->key_len = key.len;
    memcpy(p->key, key.at, key.len);
    map_put(&t->people, key_of(p), p);
    return p;
}

void hub_identity_add(struct hub_identity *identity, struct hub_socket *s, struct str key)
{
    identity->person = get_person(s->tenant, key);
    identity->socket = s;
    list_append(&identity->person->identities, &identity->node);
}

void hub_identity_remove(struct hub_identity *identity)
{
    struct hub_person *p = identity->person;
    list_remove(&identity->node);
    if (!list_is_empty(&p->identities))
        return;
    map_remove(&p->tenant->people, key_of(p));
    mem_free(p);
}

void hub_identity_close(struct hub_tenant *t, struct str key, int code, struct str why)
{
    const struct hub_person *p = map_find(&t->people, key);
    if (!p)
        return;
    // A close is a request: sockets leave at the end of the turn, so the list stays as it is.
    for (struct list *node = p->identities.next; node != &p->identities; node = node->next)
        hub_socket_close(LIST_ENTRY(node, struct hub_identity, node)->socket, code, why);
}
