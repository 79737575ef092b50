#include <stdio.h>
#include "util.h"
#define MAX 10
#define SQ(x) ((x)*(x))

typedef struct node {
    int v;
    struct node *next;
} node_t;

static int count = 0;

/* Adds two
 * numbers. */
static int *add(int a, int b)
{
    return a + b;
}

int main(void);
void (*handler)(int);
