#include "app/app_data.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app_embed.h"
#include "core/crypto.h"
#include "core/json.h"
#include "core/mem.h"

enum { PATH_BYTES = 4096, APP_FILE_MAX_BYTES = 64 * 1024 };

enum err app_data_prepare(const char *dir, char *why_out, size_t why_cap)
{
    struct stat st;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        snprintf(why_out, why_cap,
                 "cannot create the data directory %s: %s; choose another with --data", dir,
                 strerror(errno));
        return ERR_IO;
    }
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
        snprintf(why_out, why_cap, "%s is not a directory; choose another with --data", dir);
        return ERR_INVALID;
    }
    if (access(dir, R_OK | W_OK | X_OK) != 0) {
        snprintf(why_out, why_cap,
                 "the data directory %s is not writable: %s; choose another with --data", dir,
                 strerror(errno));
        return ERR_DENIED;
    }
    return OK;
}

/* options without their path. */
static enum err open_store(const char *dir, struct store_options options, struct store **out,
                           char *why_out, size_t why_cap)
{
    enum err err = app_data_prepare(dir, why_out, why_cap);
    if (err)
        return err;
    char path[PATH_BYTES];
    if ((size_t)snprintf(path, sizeof(path), "%s/viche.db", dir) >= sizeof(path)) {
        snprintf(why_out, why_cap, "the path of the data directory is too long");
        return ERR_TOO_LARGE;
    }
    options.path = path;
    options.busy_ms = 5000;
    return store_open(&options, out, why_out, why_cap);
}

enum err app_data_open(const char *dir, bool is_server, int readers, struct store **out,
                       char *why_out, size_t why_cap)
{
    struct store_options options = {.readers = readers, .is_server = is_server};
    return open_store(dir, options, out, why_out, why_cap);
}

enum err app_data_open_watching(const char *dir, int readers, struct store **out, char *why_out,
                                size_t why_cap)
{
    struct store_options options = {.readers = readers, .is_watching = true};
    return open_store(dir, options, out, why_out, why_cap);
}

enum err app_data_look(const char *dir, char *why_out, size_t why_cap)
{
    char path[PATH_BYTES];
    int len = snprintf(path, sizeof(path), "%s/viche.db", dir);
    if ((size_t)len < sizeof(path) && access(path, F_OK) == 0)
        return OK;
    int number = (size_t)len < sizeof(path) ? errno : ENAMETOOLONG;
    if (number == ENOENT || number == ENOTDIR) {
        snprintf(why_out, why_cap, "there is no database in %s; say where with --data", dir);
        return ERR_NOT_FOUND;
    }
    snprintf(why_out, why_cap, "cannot look into %s: %s; run as the user of the server", dir,
             strerror(number));
    return ERR_DENIED;
}

enum err app_data_is_newer(struct store *store, bool *out)
{
    int number = 0;
    enum err err = store_schema_number(store, &number);
    *out = number > app_embed_migrations[app_embed_migration_count - 1].number;
    return err;
}

enum err app_data_migrate(struct store *store, int *applied_out, char *why_out, size_t why_cap)
{
    return store_migrate(store, app_embed_migrations, app_embed_migration_count, applied_out,
                         why_out, why_cap);
}

enum err app_data_read_file(const char *path, size_t max_bytes, char **out, size_t *len_out)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    char *text = mem_zalloc(max_bytes + 1);
    size_t len = fread(text, 1, max_bytes + 1, file);
    bool failed = ferror(file);
    fclose(file);
    if (failed || len > max_bytes) {
        mem_free(text);
        return failed ? ERR_IO : ERR_TOO_LARGE;
    }
    text[len] = '\0';
    *out = text;
    *len_out = len;
    return OK;
}

/* A new app: its file is written whole beside its place and renamed, so that a crash leaves none or
 * all. */
static enum err make_app(const char *path, char *why_out, size_t why_cap)
{
    uint8_t random[4 + 10 + 16];
    char key[21], secret[33], temporary[PATH_BYTES + 8], line[256];
    crypto_random(random, sizeof(random));
    uint32_t number = 0;
    memcpy(&number, random, sizeof(number));
    crypto_hex(random + 4, 10, key);
    crypto_hex(random + 14, 16, secret);
    int len = snprintf(line, sizeof(line), "{\"app_id\":\"%u\",\"key\":\"%s\",\"secret\":\"%s\"}\n",
                       100000 + number % 900000, key, secret);
    snprintf(temporary, sizeof(temporary), "%s.new", path);

    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_written = fd >= 0 && write(fd, line, (size_t)len) == len && fsync(fd) == 0;
    if (fd >= 0)
        is_written = close(fd) == 0 && is_written;
    if (!is_written || rename(temporary, path) != 0) {
        snprintf(why_out, why_cap, "cannot write %s: %s", path, strerror(errno));
        return ERR_IO;
    }
    return OK;
}

static char *text_of(const cJSON *root, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, name);
    return cJSON_IsString(item) && item->valuestring[0] ? str_dup(str_of(item->valuestring)) : NULL;
}

enum err app_data_app(const char *dir, char **id_out, char **key_out, char **secret_out,
                      char *why_out, size_t why_cap)
{
    char path[PATH_BYTES], *text = NULL, *id = NULL, *key = NULL, *secret = NULL;
    size_t len = 0;
    cJSON *root = NULL;
    snprintf(path, sizeof(path), "%s/app.json", dir);

    enum err err = app_data_read_file(path, APP_FILE_MAX_BYTES, &text, &len);
    if (err == ERR_NOT_FOUND) {
        err = make_app(path, why_out, why_cap);
        if (err)
            return err;
        err = app_data_read_file(path, APP_FILE_MAX_BYTES, &text, &len);
    }
    if (!err)
        err = json_parse((struct str){text, len}, &root);
    if (!err) {
        id = text_of(root, "app_id");
        key = text_of(root, "key");
        secret = text_of(root, "secret");
    }
    if (err || !id || !key || !secret) {
        snprintf(
            why_out, why_cap,
            "%s cannot be read as {\"app_id\",\"key\",\"secret\"}; mend it, or remove it to get a "
            "new app",
            path);
        err = err ? err : ERR_INVALID;
        mem_free(id);
        mem_free(key);
        mem_free(secret);
        goto out;
    }
    *id_out = id;
    *key_out = key;
    *secret_out = secret;
out:
    cJSON_Delete(root);
    mem_free(text);
    return err;
}
