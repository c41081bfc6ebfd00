// `CHECK` aborts with file:line when its condition, whose failure is a bug in this program, does
// not hold. `DCHECK` does so in debug builds only and is allowed in kernels. Bad input from outside
// must throw lorikeet::Error instead.
#pragma once
#include <cstdio>
#include <cstdlib>

#define CHECK(cond)                                                          \
  do {                                                                       \
    if (!(cond)) {                                                           \
      std::fprintf(stderr, "%s:%d: CHECK(%s)\n", __FILE__, __LINE__, #cond); \
      std::abort();                                                          \
    }                                                                        \
  } while (false)
#ifdef NDEBUG
#define DCHECK(cond) ((void)sizeof(cond))
#else
#define DCHECK(cond) CHECK(cond)
#endif
