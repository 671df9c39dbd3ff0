/* store_conformance.h - what every back end of the store must do. A test program opens `store`, sets `scratch` to a
 * folder of its own and runs STORE_CONFORMANCE_TESTS among its tests. */
#ifndef LONGANIM_TESTS_STORE_CONFORMANCE_H
#define LONGANIM_TESTS_STORE_CONFORMANCE_H

#include "base/clock.h"
#include "base/fs.h"
#include "store/store.h"
#include "tests/support/scratch.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct store *store;
static char scratch[128];

static inline int make_scratch_folder(void)
{
    return make_scratch(scratch, sizeof scratch);
}

static inline void scratch_path(char out[FS_PATH_MAX], const char *name)
{
    assert_int_equal(fs_join(out, scratch, name, NULL), 0);
}

/* A file of pseudo-random bytes and its hash. */
static inline void make_file(const char *path, size_t size, char sha256[HASH_HEX_SIZE])
{
    char *data = malloc(size + 1);
    unsigned seed = 7;
    for (size_t i = 0; i < size; i++)
        data[i] = (char)rand_r(&seed);
    assert_int_equal(fs_write_atomic(path, data, size, NULL), 0);
    hash_bytes(data, size, sha256);
    free(data);
}

static inline void put_text(const char *key, const char *text)
{
    struct err e;
    if (store_put_bytes(store, key, text, strlen(text), &e) != 0)
        fail_msg("put %s: %s", key, e.detail);
}

static inline void expect_text(const char *key, const char *text)
{
    struct buf b;
    struct err e;
    buf_init(&b, 1 << 20);
    if (store_get_bytes(store, key, &b, &e) != 0)
        fail_msg("get %s: %s", key, e.detail);
    assert_string_equal(b.data, text);
    buf_free(&b);
}

static int collect_keys(void *user, const char *key, const struct store_info *info)
{
    struct buf *b = user;
    assert_true(info->bytes >= 0 && info->modified_ms > 1600000000000);
    return buf_printf(b, "%s ", key);
}

static int collect_one(void *user, const char *key, const struct store_info *info)
{
    (void)info;
    buf_add_str(user, key);
    return 1;
}

static inline void expect_list(const char *prefix, const char *after, store_list_fn fn, const char *want)
{
    struct buf b;
    struct err e;
    buf_init(&b, 1 << 20);
    if (store_list(store, prefix, after, fn, &b, &e) != 0)
        fail_msg("list %s: %s", prefix, e.detail);
    assert_string_equal(b.data ? b.data : "", want);
    buf_free(&b);
}

static void what_was_put_is_read_back(void **state)
{
    struct store_info info;
    struct err e;
    (void)state;
    assert_int_equal(store_probe(store, &e), 0);
    put_text("a/b/object", "hello");
    expect_text("a/b/object", "hello");
    assert_int_equal(store_stat(store, "a/b/object", &info, &e), 0);
    assert_int_equal(info.bytes, 5);
    int64_t age_ms = clock_wall_ms() - info.modified_ms;
    assert_true(age_ms > -10000 && age_ms < 60000);
    put_text("a/b/object", "replaced");
    expect_text("a/b/object", "replaced");
    put_text("a/b/empty", "");
    expect_text("a/b/empty", "");
}

static void a_missing_object_is_said_to_be_missing(void **state)
{
    char path[FS_PATH_MAX], data[4];
    struct store_info info;
    struct buf b;
    struct err e = {0};
    (void)state;
    buf_init(&b, 10);
    put_text("m/file", "x");
    assert_int_equal(store_stat(store, "m/none", &info, &e), -1);
    assert_int_equal(e.code, ERR_job_not_found);
    assert_int_equal(store_stat(store, "m/file/below", &info, &e), -1);
    assert_int_equal(e.code, ERR_job_not_found);
    e = (struct err){0};
    assert_int_equal(store_get_bytes(store, "m/none", &b, &e), -1);
    assert_int_equal(e.code, ERR_job_not_found);
    e = (struct err){0};
    scratch_path(path, "never");
    assert_int_equal(store_get_file(store, "m/none", path, &e), -1);
    assert_int_equal(e.code, ERR_job_not_found);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(store_read(store, "m/none", 0, data, 4, &e), -1);
    assert_int_equal(e.code, ERR_job_not_found);
    assert_int_equal(store_delete(store, "m/none", &e), 0);
    assert_int_equal(store_delete(store, "no/such/folder", &e), 0);
}

static void files_go_in_and_out_unchanged(void **state)
{
    char path[FS_PATH_MAX], back[FS_PATH_MAX], sha[HASH_HEX_SIZE], got[HASH_HEX_SIZE];
    struct store_info info;
    struct err e;
    (void)state;
    scratch_path(path, "in");
    scratch_path(back, "out");
    make_file(path, 3000001, sha);
    assert_int_equal(store_put_file(store, "f/big.bin", path, sha, false, &e), 0);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(store_stat(store, "f/big.bin", &info, &e), 0);
    assert_int_equal(info.bytes, 3000001);
    assert_true(info.sha256[0] == '\0' || strcmp(info.sha256, sha) == 0);
    assert_int_equal(store_get_file(store, "f/big.bin", back, &e), 0);
    assert_int_equal(hash_file(back, got, NULL, &e), 0);
    assert_string_equal(got, sha);
    assert_int_equal(store_put_file(store, "f/consumed.bin", path, "", true, &e), 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(store_get_file(store, "f/consumed.bin", back, &e), 0); /* over the file that is there */
    assert_int_equal(hash_file(back, got, NULL, &e), 0);
    assert_string_equal(got, sha);
}

static void other_content_than_announced_is_not_stored(void **state)
{
    char path[FS_PATH_MAX], sha[HASH_HEX_SIZE];
    struct store_info info;
    struct err e;
    (void)state;
    scratch_path(path, "wrong");
    make_file(path, 1000, sha);
    sha[0] = sha[0] == '0' ? '1' : '0';
    assert_int_equal(store_put_file(store, "w/x", path, sha, false, &e), -1);
    assert_int_equal(e.code, ERR_internal);
    assert_int_equal(store_stat(store, "w/x", &info, &e), -1);
    assert_int_equal(e.code, ERR_job_not_found);
    assert_int_equal(access(path, F_OK), 0);
}

static void parts_are_read_by_offset(void **state)
{
    char data[8];
    struct err e;
    (void)state;
    put_text("r/object", "0123456789");
    assert_int_equal(store_read(store, "r/object", 3, data, 4, &e), 4);
    assert_memory_equal(data, "3456", 4);
    assert_int_equal(store_read(store, "r/object", 8, data, 8, &e), 2);
    assert_memory_equal(data, "89", 2);
    assert_int_equal(store_read(store, "r/object", 10, data, 8, &e), 0);
    assert_int_equal(store_read(store, "r/object", 1000, data, 8, &e), 0);
    put_text("r/none", "");
    assert_int_equal(store_read(store, "r/none", 0, data, 8, &e), 0);
}

/* Some S3 servers list folder by folder, so that "a/" comes before "a-b/". No name of ours begins another one. */
static bool lists_like_a_tree;

static void a_list_is_in_order_of_keys(void **state)
{
    (void)state;
    put_text("l/ab/x", "1");
    put_text("l/b", "1");
    put_text("l/B", "1");
    put_text("l/aa/y/z", "1");
    put_text("l/aa/x", "1");
    put_text("lx", "1");
    expect_list("l/", "", collect_keys, "l/B l/aa/x l/aa/y/z l/ab/x l/b ");
    expect_list("l/", "l/aa/x", collect_keys, "l/aa/y/z l/ab/x l/b ");
    expect_list("l/", "l/aa/x5", collect_keys, "l/aa/y/z l/ab/x l/b ");
    expect_list("l/", "l/zzz", collect_keys, "");
    expect_list("l/a", "", collect_keys, "l/aa/x l/aa/y/z l/ab/x ");
    expect_list("l/aa/", "", collect_keys, "l/aa/x l/aa/y/z ");
    expect_list("none/", "", collect_keys, "");
    expect_list("l/", "", collect_one, "l/B");
}

static void the_order_is_bytewise_over_the_whole_key(void **state)
{
    (void)state;
    put_text("o/a/x", "1");
    put_text("o/a-b/x", "1");
    put_text("o/a.b", "1");
    put_text("o/a0", "1");
    expect_list("o/", "", collect_keys, lists_like_a_tree ? "o/a/x o/a-b/x o/a.b o/a0 " : "o/a-b/x o/a.b o/a/x o/a0 ");
    if (!lists_like_a_tree)
        expect_list("o/", "o/a.b", collect_keys, "o/a/x o/a0 ");
}

/* Takes three keys at a time. */
static int collect_three(void *user, const char *key, const struct store_info *info)
{
    char *last = user;
    (void)info;
    snprintf(last + 8, STORE_KEY_MAX, "%s", key);
    return ++last[0] == 3;
}

static void a_list_can_be_read_in_pieces(void **state)
{
    char key[64], piece[8 + STORE_KEY_MAX] = {0};
    struct err e;
    int seen = 0;
    (void)state;
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "pieces/t%d/day/%02d/file%d", i / 10, i % 10, i % 3);
        put_text(key, "1");
    }
    do {
        char after[STORE_KEY_MAX];
        memcpy(after, piece + 8, sizeof after);
        piece[0] = 0;
        assert_int_equal(store_list(store, "pieces/", after, collect_three, piece, &e), 0);
        assert_true(piece[0] == 0 || strcmp(piece + 8, after) > 0);
        seen += piece[0];
    } while (piece[0] == 3);
    assert_int_equal(seen, 20);
}

static void what_is_deleted_is_gone_and_its_place_free(void **state)
{
    struct store_info info;
    struct err e;
    (void)state;
    put_text("d/1/2/3", "x");
    assert_int_equal(store_delete(store, "d/1/2/3", &e), 0);
    assert_int_equal(store_stat(store, "d/1/2/3", &info, &e), -1);
    expect_list("d/", "", collect_keys, "");
    put_text("d/1", "a file where a folder was");
    expect_text("d/1", "a file where a folder was");
}

static void keys_cannot_leave_the_store(void **state)
{
    static const char *const bad[] = {"",      "/etc/passwd", "../x", "a/../b", "a//b",   "a/",   "./a",
                                      "a/./b", "a b",         "a\\b", "a\nb",   ".tmp/x", "a%2e", "\xC3\xA9"};
    char longest[300];
    struct store_info info;
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(store_put_bytes(store, bad[i], "x", 1, &e), -1);
        assert_int_equal(store_stat(store, bad[i], &info, &e), -1);
        assert_int_equal(store_delete(store, bad[i], &e), -1);
    }
    memset(longest, 'a', 256);
    longest[256] = '\0';
    assert_int_equal(store_put_bytes(store, longest, "x", 1, &e), -1);
}

static void a_text_that_is_too_large_is_refused_when_read(void **state)
{
    struct buf b;
    struct err e;
    (void)state;
    put_text("b/text", "0123456789");
    buf_init(&b, 9);
    assert_int_equal(store_get_bytes(store, "b/text", &b, &e), -1);
    assert_int_equal(e.code, ERR_internal);
    buf_free(&b);
}

/* Puts and removes objects of one folder, so that the folder comes and goes under the others' hands. */
static void *put_and_delete(void *user)
{
    int n = *(int *)user;
    char key[32], text[32];
    struct err e;
    snprintf(key, sizeof key, "race/folder/%d", n);
    snprintf(text, sizeof text, "content %d", n);
    for (int i = 0; i < 25; i++) {
        struct buf b;
        buf_init(&b, 100);
        bool good = store_put_bytes(store, key, text, strlen(text), &e) == 0 &&
                    store_get_bytes(store, key, &b, &e) == 0 && strcmp(b.data, text) == 0 &&
                    store_delete(store, key, &e) == 0;
        buf_free(&b);
        if (!good)
            return strdup(e.detail);
    }
    return NULL;
}

static void one_handle_serves_many_threads(void **state)
{
    pthread_t threads[4];
    int numbers[4];
    (void)state;
    for (int i = 0; i < 4; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, put_and_delete, &numbers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *trouble;
        pthread_join(threads[i], &trouble);
        if (trouble)
            fail_msg("thread %d: %s", i, (char *)trouble);
    }
    expect_list("race/", "", collect_keys, "");
}

static inline void a_copy_lives_by_itself(void **state)
{
    struct err e = {0};
    struct store_info info;
    bool copied = true;
    (void)state;
    assert_int_equal(store_copy(store, "copies/none", "copies/b/x", &copied, &e), 0);
    assert_false(copied);
    assert_int_equal(store_stat(store, "copies/b/x", &info, &e), -1);
    put_text("copies/a/x", "one");
    assert_int_equal(store_copy(store, "copies/a/x", "copies/b/x", &copied, &e), 0);
    assert_true(copied);
    expect_text("copies/b/x", "one");
    put_text("copies/a/x", "another");
    expect_text("copies/b/x", "one");
    assert_int_equal(store_delete(store, "copies/a/x", &e), 0);
    expect_text("copies/b/x", "one");
    assert_int_equal(store_copy(store, "copies/a/x", "copies/c/x", &copied, &e), 0);
    assert_false(copied);
    assert_int_equal(store_delete(store, "copies/b/x", &e), 0);
}

static inline void what_belongs_together_is_put_together(void **state)
{
    struct err e = {0};
    struct store_info info;
    char path[FS_PATH_MAX], sha[HASH_HEX_SIZE];
    (void)state;
    scratch_path(path, "together");
    make_file(path, 70000, sha);
    put_text("earlier/x", "the same");
    const struct store_item list[] = {
        {.key = "v1/a/day/job/in/video.mp4", .path = path, .sha256 = sha, .consume = true},
        {.key = "v1/a/day/job/in/ref.png", .same_as = "earlier/x", .path = "/does/not/exist", .sha256 = ""},
        {.key = "v1/a/day/job/in/other.png", .same_as = "earlier/none", .sha256 = "", .data = "own", .size = 3},
        {.key = "v1/a/day/job/manifest.json", .sha256 = "", .data = "{}", .size = 2},
    };
    if (store_put_all(store, list, 4, &e) != 0)
        fail_msg("%s", e.detail);
    assert_int_equal(store_stat(store, list[0].key, &info, &e), 0);
    assert_int_equal(info.bytes, 70000);
    assert_int_not_equal(access(path, F_OK), 0);
    expect_text(list[1].key, "the same");
    expect_text(list[2].key, "own");
    expect_text(list[3].key, "{}");
    if (store_put_all(store, list + 2, 2, &e) != 0) /* once more, over what is there */
        fail_msg("%s", e.detail);
    assert_int_equal(store_put_all(store, list, 0, &e), -1);
    assert_int_equal(store_put_all(store, &(struct store_item){.key = "../x", .data = "", .sha256 = ""}, 1, &e), -1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(store_delete(store, list[i].key, &e), 0);
    expect_text("earlier/x", "the same");
    assert_int_equal(store_delete(store, "earlier/x", &e), 0);
}

static inline void nothing_follows_what_could_not_be_put(void **state)
{
    struct err e = {0};
    struct store_info info;
    (void)state;
    const struct store_item list[] = {
        {.key = "half/job/first", .sha256 = "", .data = "1", .size = 1},
        {.key = "half/job/second", .path = "/does/not/exist", .sha256 = ""},
        {.key = "half/job/third", .sha256 = "", .data = "3", .size = 1},
    };
    assert_int_equal(store_put_all(store, list, 3, &e), -1);
    assert_int_equal(store_stat(store, "half/job/third", &info, &e), -1);
    assert_int_equal(store_delete(store, "half/job/first", &e), 0); /* may be there */
}

#define STORE_CONFORMANCE_TESTS                                                                                        \
    cmocka_unit_test(what_was_put_is_read_back), cmocka_unit_test(a_missing_object_is_said_to_be_missing),             \
        cmocka_unit_test(files_go_in_and_out_unchanged), cmocka_unit_test(other_content_than_announced_is_not_stored), \
        cmocka_unit_test(parts_are_read_by_offset), cmocka_unit_test(a_list_is_in_order_of_keys),                      \
        cmocka_unit_test(the_order_is_bytewise_over_the_whole_key), cmocka_unit_test(a_list_can_be_read_in_pieces),    \
        cmocka_unit_test(what_is_deleted_is_gone_and_its_place_free), cmocka_unit_test(keys_cannot_leave_the_store),   \
        cmocka_unit_test(a_copy_lives_by_itself), cmocka_unit_test(a_text_that_is_too_large_is_refused_when_read),     \
        cmocka_unit_test(what_belongs_together_is_put_together),                                                       \
        cmocka_unit_test(nothing_follows_what_could_not_be_put), cmocka_unit_test(one_handle_serves_many_threads)

#endif
