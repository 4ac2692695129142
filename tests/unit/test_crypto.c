#include "core/crypto.h"
#include "test.h"

#include <pthread.h>
#include <stdlib.h>

static struct str hex_of(const uint8_t *bytes, size_t len)
{
    static char out[2 * 64 + 1];
    crypto_hex(bytes, len, out);
    return str_of(out);
}

TEST(crypto_digests_match_published_vectors)
{
    uint8_t out[CRYPTO_SHA256_BYTES];
    crypto_init();
    crypto_sha256(STR("abc"), out); // FIPS 180-2
    EXPECT_STR(hex_of(out, CRYPTO_SHA256_BYTES),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256((struct str){0}, out);
    EXPECT_STR(hex_of(out, CRYPTO_SHA256_BYTES),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    crypto_sha1(STR("abc"), out);
    EXPECT_STR(hex_of(out, CRYPTO_SHA1_BYTES), "a9993e364706816aba3e25717850c26c9cd0d89d");
    crypto_md5(STR("message digest"), out); // RFC 1321
    EXPECT_STR(hex_of(out, CRYPTO_MD5_BYTES), "f96b697d7cb7938d525a2f31aaf161d0");
}

TEST(crypto_hmac_matches_rfc_4231)
{
    uint8_t out[CRYPTO_SHA256_BYTES];
    char long_key[131];
    memset(long_key, 0xaa, sizeof(long_key));
    crypto_init();
    const struct str parts[] = {STR("what do ya want "), STR(""), STR("for nothing?")};
    crypto_hmac_sha256(STR("Jefe"), parts, 3, out);
    EXPECT_STR(hex_of(out, sizeof(out)),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    const struct str text = STR("Test Using Larger Than Block-Size Key - Hash Key First");
    crypto_hmac_sha256((struct str){long_key, sizeof(long_key)}, &text, 1, out);
    EXPECT_STR(hex_of(out, sizeof(out)),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    crypto_hmac_sha256(STR("Jefe"), parts, 3, out); // the first key again
    EXPECT_EQ(out[0], 0x5b);
    crypto_hmac_sha256((struct str){0}, NULL, 0, out);
    EXPECT_STR(hex_of(out, sizeof(out)),
               "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void *sign_with_own_key(void *arg)
{
    const struct str key = {arg, 8}, text = STR("same text");
    uint8_t first[CRYPTO_SHA256_BYTES], again[CRYPTO_SHA256_BYTES];
    crypto_hmac_sha256(key, &text, 1, first);
    for (int i = 0; i < 1000; i++) {
        crypto_hmac_sha256(key, &text, 1, again);
        EXPECT(memcmp(first, again, sizeof(first)) == 0);
    }
    return NULL;
}

TEST(crypto_signs_on_many_threads_with_different_keys)
{
    static char key[4][9] = {"key one.", "key two.", "key 3...", "key 4..."};
    pthread_t thread[4];
    crypto_init();
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(pthread_create(&thread[i], NULL, sign_with_own_key, key[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
}

TEST(crypto_base64_matches_rfc_4648_and_is_strict)
{
    static const struct {
        const char *text;
        enum err err;
        const char *bytes;
    } row[] = {
        {"", OK, ""},
        {"Zg==", OK, "f"},
        {"Zm8=", OK, "fo"},
        {"Zm9v", OK, "foo"},
        {"Zm9vYmFy", OK, "foobar"},
        {"Zg", ERR_INVALID, NULL},
        {"Zg=", ERR_INVALID, NULL},
        {"Zh==", ERR_INVALID, NULL}, // bits that mean nothing
        {"Zm9v\n", ERR_INVALID, NULL},
        {"Zm 9", ERR_INVALID, NULL},
        {"Zm9-", ERR_INVALID, NULL},
        {"====", ERR_INVALID, NULL},
        {"=m9v", ERR_INVALID, NULL},
        {"Zg==Zg==", ERR_INVALID, NULL},
        {"Zm9vYmFyZg==", ERR_TOO_LARGE, NULL},
    };
    crypto_init();
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        uint8_t out[6];
        char text[16];
        size_t len = 99;
        enum err err = crypto_base64_decode(str_of(row[i].text), out, sizeof(out), &len);
        ck_assert_msg(err == row[i].err, "decoding '%s'", row[i].text);
        if (err)
            continue;
        EXPECT_STR(((struct str){(const char *)out, len}), row[i].bytes);
        crypto_base64(out, len, text);
        EXPECT_STR(str_of(text), row[i].text);
    }
}

TEST(crypto_equal_compares_length_and_bytes)
{
    EXPECT(crypto_equal(STR("abc"), STR("abc")));
    EXPECT(!crypto_equal(STR("abc"), STR("abd")));
    EXPECT(!crypto_equal(STR("abc"), STR("abcd")));
    EXPECT(crypto_equal((struct str){0}, STR("")));
}

TEST(crypto_tokens_are_url_safe_and_differ)
{
    char one[CRYPTO_TOKEN_CHARS + 1], two[CRYPTO_TOKEN_CHARS + 1];
    crypto_init();
    crypto_token(one);
    crypto_token(two);
    EXPECT_EQ(strlen(one), CRYPTO_TOKEN_CHARS);
    EXPECT_EQ(strspn(one, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
              CRYPTO_TOKEN_CHARS);
    EXPECT(strcmp(one, two) != 0);
}

TEST(crypto_password_hash_matches_its_password_only)
{
    char hash[CRYPTO_PASSWORD_HASH_BYTES];
    crypto_init();
    crypto_password_hash(STR("верба над ставом"), hash);
    EXPECT(str_starts(str_of(hash), STR("$argon2id$v=19$m=19456,t=2,p=1$")));
    EXPECT(crypto_password_matches(hash, STR("верба над ставом")));
    EXPECT(!crypto_password_matches(hash, STR("верба над ставо")));
    EXPECT(!crypto_password_matches(hash, (struct str){0}));
    EXPECT(!crypto_password_matches("", STR("верба над ставом")));
    EXPECT(!crypto_password_matches("not a hash", STR("x")));
}

TEST(crypto_open_takes_a_published_vector_and_nothing_near_it)
{
    // draft-irtf-cfrg-xchacha-03, A.3.1
    static const char text[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
                               "only one tip for the future, sunscreen would be it.";
    uint8_t key[32], sealed[24 + 114 + 16], bound[12], out[114];
    crypto_init();
    EXPECT_EQ(crypto_hex_decode(
                  STR("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"), key, 32),
              OK);
    EXPECT_EQ(crypto_hex_decode(STR("50515253c0c1c2c3c4c5c6c7"), bound, 12), OK);
    EXPECT_EQ(
        crypto_hex_decode(STR("404142434445464748494a4b4c4d4e4f5051525354555657"
                              "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
                              "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
                              "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
                              "21f9664c97637da9768812f615c68b13b52e"
                              "c0875924c1c7987947deafd8780acf49"),
                          sealed, sizeof(sealed)),
        OK);
    struct str all = {(const char *)sealed, sizeof(sealed)}, aad = {(const char *)bound, 12};
    EXPECT_EQ(crypto_open(key, all, aad, out), OK);
    EXPECT_STR(((struct str){(const char *)out, 114}), text);
    EXPECT_EQ(crypto_open(key, all, (struct str){aad.at, 11}, out), ERR_DENIED);
    EXPECT_EQ(crypto_open(key, (struct str){all.at, all.len - 1}, aad, out), ERR_DENIED);
    EXPECT_EQ(crypto_open(key, (struct str){all.at, CRYPTO_SEAL_MORE_BYTES - 1}, aad, out),
              ERR_DENIED);
    key[0] ^= 1;
    EXPECT_EQ(crypto_open(key, all, aad, out), ERR_DENIED);
}

TEST(crypto_seal_is_opened_by_its_key_and_differs_each_time)
{
    uint8_t key[32], sealed[2][CRYPTO_SEAL_MORE_BYTES + 3], out[3];
    crypto_init();
    crypto_random(key, sizeof(key));
    for (int i = 0; i < 2; i++) {
        crypto_seal(key, STR("abc"), STR("b"), sealed[i]);
        EXPECT_EQ(crypto_open(key, (struct str){(const char *)sealed[i], sizeof(sealed[i])},
                              STR("b"), out),
                  OK);
        EXPECT(memcmp(out, "abc", 3) == 0);
    }
    EXPECT(memcmp(sealed[0], sealed[1], sizeof(sealed[0])) != 0);
    crypto_seal(key, (struct str){0}, (struct str){0}, sealed[0]);
    EXPECT_EQ(crypto_open(key, (struct str){(const char *)sealed[0], CRYPTO_SEAL_MORE_BYTES},
                          (struct str){0}, out),
              OK);
}

TEST(crypto_hex_decode_takes_exactly_so_many_digits)
{
    uint8_t out[2];
    crypto_init();
    EXPECT_EQ(crypto_hex_decode(STR("00fF"), out, 2), OK);
    EXPECT(out[0] == 0 && out[1] == 0xff);
    EXPECT_EQ(crypto_hex_decode(STR("00f"), out, 2), ERR_INVALID);
    EXPECT_EQ(crypto_hex_decode(STR("00ff0"), out, 2), ERR_INVALID);
    EXPECT_EQ(crypto_hex_decode(STR("00fg"), out, 2), ERR_INVALID);
    EXPECT_EQ(crypto_hex_decode(STR(" 0ff"), out, 2), ERR_INVALID);
    EXPECT_EQ(crypto_hex_decode((struct str){0}, out, 2), ERR_INVALID);
}
