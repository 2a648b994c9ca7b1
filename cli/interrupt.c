#include "cli/interrupt.h"

static volatile sig_atomic_t last_signal;
static volatile sig_atomic_t signal_count;

static void on_signal(int number)
{
    last_signal = number;
    signal_count++;
}

void interrupt_catch(void)
{
    struct sigaction action = { .sa_handler = on_signal };

    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool interrupt_seen(void)
{
    return signal_count > 0;
}

int interrupt_signal(void)
{
    return last_signal;
}

int interrupt_count(void)
{
    return signal_count;
}
