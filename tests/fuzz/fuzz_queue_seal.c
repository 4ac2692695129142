/* fuzz_queue_seal.c -- properties of the file of keys and of sealed payloads, for any bytes:
 *
 *  - a text of keys is taken, or refused with a reason
 *  - what was sealed with a key that was taken opens as it was
 *  - nothing that was not sealed opens
 */
#include "core/check.h"
#include "core/crypto.h"
#include "core/json.h"
#include "queue/queue_seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char keys_text[] =
    "k=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

static void check(struct queue_seal *s, struct str text, struct arena *a)
{
    struct str out, kind = {text.at, text.len < 100 ? text.len : 100};
    struct json_slice value;
    struct queue_sealed sealed = queue_seal_write(s, 1, kind, text, a);
    CHECK(json_scan(sealed.text, &value) == OK && value.kind == JSON_STRING);
    CHECK(queue_seal_open(s, 1, kind, sealed, a, &out) == OK && str_eq(out, text));
    CHECK(queue_seal_open(s, 2, kind, sealed, a, &out) == ERR_DENIED);
    sealed.text = text;
    CHECK(queue_seal_open(s, 1, kind, sealed, a, &out) == ERR_DENIED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct queue_seal *s = NULL;
    const char *why = NULL;
    struct arena a;
    crypto_init();
    arena_init(&a);
    if (queue_seal_read(text, &s, &why) != OK) {
        CHECK(why != NULL && s == NULL);
        CHECK(queue_seal_read(str_of(keys_text), &s, &why) == OK);
    }
    check(s, text, &a);
    queue_seal_free(s);
    arena_done(&a);
    return 0;
}
