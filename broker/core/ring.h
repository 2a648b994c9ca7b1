/* ring.h -- lists whose members can leave without being looked for. A head is
 * a member of its own; all zero is a head that was not used yet, or a member
 * of no list. */
#ifndef SINTER_BROKER_CORE_RING_H
#define SINTER_BROKER_CORE_RING_H

#include <stdbool.h>
#include <stddef.h>

struct ring {
    struct ring *next, *before;
};

static inline bool ring_is_empty(const struct ring *head)
{
    return head->next == NULL || head->next == head;
}

static inline void ring_remove(struct ring *member)
{
    if (member->next == NULL)
        return;
    member->next->before = member->before;
    member->before->next = member->next;
    *member = (struct ring){ NULL, NULL };
}

/* As the last; it leaves the list it is in. */
static inline void ring_add(struct ring *head, struct ring *member)
{
    ring_remove(member);
    if (head->next == NULL)
        head->next = head->before = head;
    member->before = head->before;
    member->next = head;
    head->before->next = member;
    head->before = member;
}

/* The first, which leaves; NULL: there is none. */
static inline struct ring *ring_take(struct ring *head)
{
    struct ring *first = head->next;

    if (ring_is_empty(head))
        return NULL;
    ring_remove(first);
    return first;
}

/* All of `from` go behind those of `head`. */
static inline void ring_splice(struct ring *head, struct ring *from)
{
    if (ring_is_empty(from))
        return;
    if (head->next == NULL)
        head->next = head->before = head;
    from->next->before = head->before;
    head->before->next = from->next;
    from->before->next = head;
    head->before = from->before;
    *from = (struct ring){ NULL, NULL };
}

#endif
