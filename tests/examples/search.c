/* Searching: a body under many schedules; the one in which it fails is made short, and replayed. */
#include <stdio.h>
#include <weft/scope.h>
#include <weft/test.h>

static int tickets;   /* left */
static bool watching; /* say what happens */

/* What is tested: looks, and then sells.  Two that look before one of them has sold have one ticket too many. */
static int sell(char desk);
WEFT_TASK(sell, int, char);
static int sell(char desk) {
    int seen = tickets;
    if (watching) printf("  desk %c sees %d\n", desk, seen);
    weft_point(); /* others may run here */
    tickets = seen - 1;
    if (watching) printf("  desk %c leaves %d\n", desk, tickets);
    return 1;
}

static int sold_by_two(void) {
    sell_fiber a, b;
    int by_a = 0, by_b = 0;
    tickets = 10;
    weft_spawn(&a, sell, 'a');
    weft_spawn(&b, sell, 'b');
    weft_await(a, sell, &by_a);
    weft_await(b, sell, &by_b);
    weft_drop(a);
    weft_drop(b);
    return by_a + by_b;
}

int main(void) {
    static weft_test_result once, found, again;

    WEFT_TEST(t, .name = "tickets", .result = &once) {
        int sold = sold_by_two();
        weft_check(t, tickets == 10 - sold);
    }
    printf("one run: %s\n", once.failure ? "failed" : "passed");

    WEFT_TEST(t, .name = "tickets", .runs = 1000, .explore = WEFT_EXPLORE_RANDOM, .result = &found) {
        int sold = sold_by_two();
        weft_check(t, tickets == 10 - sold);
    }
    printf("a search: %s, %s\n", found.failure == WEFT_TEST_CHECK ? "found it" : "found nothing",
           found.repeatable ? "repeatable" : "not repeatable");
    printf("the schedule that is left: '%s'\n", found.schedule);

    puts("replayed:");
    watching = true;
    WEFT_TEST(t, .name = "tickets", .schedule = found.schedule, .result = &again) {
        int sold = sold_by_two();
        weft_check(t, tickets == 10 - sold);
    }
    printf("%s\n", again.failure == found.failure ? "the same failure" : "something else");
    return 0;
}
