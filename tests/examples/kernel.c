/* The kernel form: the head of the list of children travels in a register.  Counts the ways to pay an amount. */
#include <stdio.h>
#include <weft/kernel.h>
#include <weft/runtime.h>

static const int coin[] = {200, 100, 50, 20, 10, 5, 2, 1};
enum { COINS = sizeof coin / sizeof *coin };

typedef struct purse {
    int amount, first; /* pay `amount` with coin[first] and smaller ones */
} purse;

static long ways(weft_head k, purse in);
WEFT_KERNEL(ways, long, purse);

/* Either the first coin is used once more, or never again. */
static long ways(weft_head k, purse in) {
    if (in.amount == 0) return 1;
    if (in.amount < 0 || in.first == COINS) return 0;
    ways_task without;
    weft_head h = weft_kernel_fork(k, &without, ways, in.amount, in.first + 1);
    long with = ways(h, (purse){in.amount - coin[in.first], in.first});
    return with + weft_kernel_join(&without, ways);
}

static void body(void *arg) { *(long *)arg = ways(weft_kernel_head(), (purse){100, 0}); }

int main(void) {
    long answer = 0;
    /* A kernel does not test the stack, and this one goes a hundred levels deep. */
    if (weft_run(&WEFT_OPTIONS(.stack_bytes = 1 << 20), body, &answer) != WEFT_OK) return 1;
    printf("100 can be paid in %ld ways\n", answer);
    return 0;
}
