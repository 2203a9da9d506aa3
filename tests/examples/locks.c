/* Locks: a mutex, a pool of three permits, a condition, a barrier; fibers and a plain thread. */
#include <pthread.h>
#include <stdio.h>
#include <weft/fiber.h>
#include <weft/sync.h>

static weft_mutex lock = WEFT_MUTEX;
static weft_cond changed = WEFT_COND;
static weft_sem connections;
static weft_group busy = WEFT_GROUP;
static int total, in_use, most;

static int query(int number);
WEFT_TASK(query, int, int);
static int query(int number) {
    weft_exit e = weft_sem_acquire(&connections); /* at most three at a time */
    if (weft_ok(e)) {
        weft_mutex_lock(&lock);
        if (++in_use > most) most = in_use;
        weft_mutex_unlock(&lock);
        e = weft_sleep(weft_ms(1));
        weft_mutex_lock(&lock);
        in_use--;
        total += number;
        weft_cond_signal(&changed);
        weft_mutex_unlock(&lock);
        weft_sem_release(&connections); /* whatever happened */
    }
    weft_group_done(&busy);
    return 0;
}

static weft_runtime *runtime;
static void *from_a_thread(void *arg) {
    (void)arg;
    weft_mutex_lock(&lock);
    total += 1000;
    weft_cond_signal(&changed);
    weft_mutex_unlock(&lock);
    weft_outside_end(runtime);
    return NULL;
}

static void body(void *arg) {
    pthread_t thread;
    weft_mutex other = WEFT_MUTEX;
    (void)arg;
    weft_sem_init(&connections, 3, 3);
    weft_group_add(&busy, 10);
    for (int i = 1; i <= 10; i++) weft_spawn(NULL, query, i);
    weft_outside_begin(runtime); /* it will signal: not a deadlock */
    pthread_create(&thread, NULL, from_a_thread, NULL);

    weft_exit e = weft_mutex_lock(&lock);
    while (weft_ok(e) && total < 1055) e = weft_cond_wait(&changed, &lock);
    printf("total: %d\n", total);
    weft_mutex_unlock(&lock);
    weft_group_wait(&busy);
    pthread_join(thread, NULL);
    printf("at most three at once: %s\n", most <= 3 ? "yes" : "no");
    printf("permits: %d\n", (int)weft_sem_permits(&connections));
    printf("one too many: %s\n", weft_sem_release(&connections) == WEFT_E_LIMIT ? "refused" : "accepted");
    printf("unlocked by who does not hold it: %s\n", weft_mutex_unlock(&other) == WEFT_E_NOT_HELD ? "refused" : "accepted");
}

int main(void) {
    weft_err err = weft_open(&WEFT_OPTIONS(.workers = 2), &runtime);
    if (err == WEFT_OK) err = weft_call(runtime, body, NULL);
    if (err == WEFT_OK) err = weft_close(runtime);
    if (err != WEFT_OK) return fprintf(stderr, "%s\n", weft_err_text(err)), 1;
    return 0;
}
