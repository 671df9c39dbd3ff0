#include "tests/support/store_conformance.h"

#include "store/folder_int.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char root[160], url[200];

static int setup(void **state)
{
    struct err e;
    (void)state;
    if (make_scratch_folder() != 0)
        return -1;
    snprintf(root, sizeof root, "%s/store", scratch);
    snprintf(url, sizeof url, "file:%s", root);
    return store_open(&store, url, &e);
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    return fs_remove_tree(scratch, NULL);
}

static int count_entries(const char *folder)
{
    char command[400];
    int count = -1;
    snprintf(command, sizeof command, "ls -A %s | wc -l", folder);
    FILE *out = popen(command, "r");
    if (fscanf(out, "%d", &count) != 1)
        count = -1;
    pclose(out);
    return count;
}

static void nothing_temporary_is_left_behind(void **state)
{
    char tmp[200], path[FS_PATH_MAX], sha[HASH_HEX_SIZE];
    struct err e;
    (void)state;
    snprintf(tmp, sizeof tmp, "%s/.tmp", root);
    scratch_path(path, "file");
    make_file(path, 5000, sha);
    sha[0] ^= 1;
    store_put_file(store, "t/x", path, sha, false, &e);
    store_put_bytes(store, "t/y", "y", 1, &e);
    assert_int_equal(store_probe(store, &e), 0);
    assert_int_equal(count_entries(tmp), 0);
    store_delete(store, "t/y", &e);
    snprintf(tmp, sizeof tmp, "%s/t", root);
    assert_int_equal(access(tmp, F_OK), -1); /* the empty folder went with its last object */
}

static void the_sweep_removes_old_temporaries_only(void **state)
{
    char path[300];
    int removed = -1;
    struct err e;
    (void)state;
    snprintf(path, sizeof path, "%s/.tmp/left", root);
    assert_int_equal(fs_write_atomic(path, "x", 1, &e), 0);
    assert_int_equal(store_sweep(store, 60000, &removed, &e), 0);
    assert_int_equal(removed, 0);
    clock_sleep_ms(20);
    assert_int_equal(store_sweep(store, 10, &removed, &e), 0);
    assert_int_equal(removed, 1);
    assert_int_equal(access(path, F_OK), -1);
}

static void links_inside_the_store_are_not_followed(void **state)
{
    char path[300], target[300];
    struct store_info info;
    struct buf b;
    struct err e;
    (void)state;
    buf_init(&b, 4096);
    snprintf(target, sizeof target, "%s/outside", scratch);
    assert_int_equal(fs_mkdirs(target, &e), 0);
    snprintf(path, sizeof path, "%s/outside/secret", scratch);
    assert_int_equal(fs_write_atomic(path, "secret", 6, &e), 0);
    put_text("links/real", "x");
    snprintf(path, sizeof path, "%s/links/folder", root);
    assert_int_equal(symlink(target, path), 0);
    snprintf(path, sizeof path, "%s/links/file", root);
    snprintf(target, sizeof target, "%s/outside/secret", scratch);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(store_get_bytes(store, "links/file", &b, &e), -1);
    assert_int_equal(store_get_bytes(store, "links/folder/secret", &b, &e), -1);
    assert_int_equal(store_put_bytes(store, "links/folder/new", "x", 1, &e), -1);
    store_delete(store, "links/folder/secret", &e); /* there is no such object */
    assert_int_equal(access(target, F_OK), 0);
    assert_int_equal(store_stat(store, "links/folder/secret", &info, &e), -1);
    expect_list("links/", "", collect_keys, "links/real ");
    assert_int_equal(store_put_bytes(store, "links/file", "mine", 4, &e), 0); /* replaces the link, not its target */
    b.size = 0;
    assert_int_equal(fs_read(target, &b, &e), 0);
    assert_string_equal(b.data, "secret");
    buf_free(&b);
}

/* Opens paths in a child whose kernel knows no openat2; its exit status is what went wrong. */
static int check_without_openat2(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int fd = open(root, O_RDONLY | O_DIRECTORY);
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0) != 0 || seccomp_load(filter) != 0)
        return 1;
    if (store__open_below(fd, "walk/a/b", O_RDONLY) < 0)
        return 2;
    if (store__open_below(fd, "walk/a/", O_RDONLY | O_DIRECTORY) < 0)
        return 3;
    if (store__open_below(fd, "walk/none/b", O_RDONLY) >= 0 || errno != ENOENT)
        return 4;
    if (store__open_below(fd, "walk/link/b", O_RDONLY) >= 0)
        return 5;
    return store__open_below(fd, "walk/filelink", O_RDONLY) < 0 ? 0 : 6;
}

static void an_old_kernel_walks_the_path_itself(void **state)
{
    char path[300];
    int status;
    (void)state;
    put_text("walk/a/b", "x");
    snprintf(path, sizeof path, "%s/walk/link", root);
    assert_int_equal(symlink("a", path), 0);
    snprintf(path, sizeof path, "%s/walk/filelink", root);
    assert_int_equal(symlink("a/b", path), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(check_without_openat2());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_store_that_went_away_is_not_made_anew(void **state)
{
    char away[300];
    struct err e;
    (void)state;
    put_text("away/x", "kept");
    snprintf(away, sizeof away, "%s/away", scratch);
    assert_int_equal(rename(root, away), 0);
    assert_int_equal(store_probe(store, &e), -1);
    assert_int_equal(e.code, ERR_dependency_storage);
    assert_int_equal(store_put_bytes(store, "away/y", "y", 1, &e), -1);
    assert_int_equal(e.code, ERR_dependency_storage);
    assert_int_equal(access(root, F_OK), -1);
    assert_int_equal(rename(away, root), 0);
    expect_text("away/x", "kept");
}

static void an_open_descriptor_outlives_the_object(void **state)
{
    int fd = -1;
    int64_t bytes = 0;
    char data[4];
    struct err e;
    (void)state;
    put_text("fd/x", "data");
    assert_int_equal(store_open_fd(store, "fd/x", &fd, &bytes, &e), 0);
    assert_int_equal(bytes, 4);
    assert_int_equal(store_delete(store, "fd/x", &e), 0);
    assert_int_equal(pread(fd, data, 4, 0), 4);
    close(fd);
}

static void a_store_needs_an_absolute_path_and_a_known_scheme(void **state)
{
    static const char *const bad[] = {"file:relative", "file:", "ftp://host/x", "", "/dir"};
    struct store *s;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        assert_int_equal(store_open(&s, bad[i], &e), -1);
        assert_int_equal(e.code, ERR_params_invalid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_CONFORMANCE_TESTS,
        cmocka_unit_test(nothing_temporary_is_left_behind),
        cmocka_unit_test(the_sweep_removes_old_temporaries_only),
        cmocka_unit_test(links_inside_the_store_are_not_followed),
        cmocka_unit_test(an_old_kernel_walks_the_path_itself),
        cmocka_unit_test(a_store_that_went_away_is_not_made_anew),
        cmocka_unit_test(an_open_descriptor_outlives_the_object),
        cmocka_unit_test(a_store_needs_an_absolute_path_and_a_known_scheme),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
