/* The environment and layers: a service that needs another, opened and closed in order, replaced in a test by one line. */
#include <stdio.h>
#include <weft/layer.h>
#include <weft/service.h>

typedef struct settings {
    const char *host;
    int retries;
} settings;
typedef struct connection {
    char address[40];
} connection;
WEFT_KEY(config, settings);
WEFT_KEY(database, connection);
WEFT_KEY(user, const char *);

/* ---- layers: how the values come into being, and how they go -------------------------------------------- */

static weft_exit connect(connection *c, void *arg) {
    const settings *s = weft_env(config); /* what it needs is there */
    (void)arg;
    snprintf(c->address, sizeof c->address, "%s:5432", s->host);
    return weft_console_print("  connected to %s\n", c->address);
}
static weft_exit disconnect(connection *c, void *arg) {
    (void)arg;
    return weft_console_print("  disconnected from %s\n", c->address);
}

static const weft_layer settings_here = WEFT_LAYER_VALUE(config, {.host = "db.example", .retries = 3}),
                        postgres = WEFT_LAYER(database, connect, disconnect, WEFT_NEEDS(&settings_here));

/* ---- a program, which asks for what it needs ------------------------------------------------------------ */

static int greet(int n);
WEFT_TASK(greet, int, int);
static int greet(int n) {
    const connection *c = weft_env(database);
    const char *const *who = weft_env(user);
    weft_console_print("  %s, number %d of %d, by %s\n", who ? *who : "nobody", (int)weft_random_int(n) + 1, n, c ? c->address : "-");
    return n;
}

static int serve(int n);
WEFT_TASK(serve, int, int);
static int serve(int n) {
    greet_fiber f;
    WEFT_PROVIDE(user, "ann") weft_spawn(&f, greet, n); /* a child has what is provided where it begins */
    WEFT_PROVIDE(user, "bob") greet(n);
    weft_await(f, greet, NULL);
    weft_drop(f);
    return greet(n);
}

/* ---- the same program, for real and in a test ------------------------------------------------------------ */

static weft_exit to_stdout(const weft_console_service *c, const char *text, size_t bytes) {
    (void)c;
    return fwrite(text, 1, bytes, stdout) == bytes ? weft_done : weft_fail(WEFT_E_USER, "standard output is full");
}

static void body(void *arg) {
    const weft_layer fake = WEFT_LAYER_VALUE(database, {"a test"});
    weft_random_state numbers;
    int n = 0;
    char text[300];
    (void)arg;

    printf("for real\n");
    WEFT_PROVIDE(weft_random, weft_random_seeded(&numbers, 1)) weft_provide_layer(&postgres, serve, &n, 10);

    printf("in a test\n");
    WEFT_PROVIDE(weft_random, weft_random_seeded(&numbers, 1)) weft_provide_layer(&fake, serve, &n, 10);

    printf("without\n");
    settings s;
    weft_exit e = weft_env_get(config, &s);
    printf("  %d: %.36s\n", e.code == WEFT_E_MISSING, weft_ok(e) ? "" : e.cause->text);
    WEFT_PROVIDE(user, "carl") {
        weft_env_format(text, sizeof text);
        printf("%s\n", text);
    }
}

int main(void) {
    weft_err err = WEFT_OK;
    const weft_console_service console = {.write = to_stdout};
    WEFT_PROVIDE(weft_console, console) err = weft_run(&WEFT_OPTIONS(.executor = WEFT_DETERMINISTIC), body, NULL);
    if (err != WEFT_OK) return fprintf(stderr, "%s\n", weft_err_text(err)), 1;
    return 0;
}
