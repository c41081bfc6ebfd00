# With LORIKEET_SANITIZE=thread: what `./test.sh --tsan` builds (target tsan_tests) and runs (ctest label tsan).
if(NOT LORIKEET_SANITIZE STREQUAL "thread")
  function(lorikeet_tsan_test name)
  endfunction()
  return()
endif()

# Modules with threads of their own, locks, or work in parallel regions that is not one kernel alone.
set(tsan_modules core tokenizer sample verify rl)
# Libraries that were not compiled with the sanitizer (libomp, oneDNN) are not looked into; libomp loads Archer by itself,
# which tells the sanitizer where parallel regions begin, wait and end.
set(tsan_options TSAN_OPTIONS=ignore_noninstrumented_modules=1)

# The check itself is tested: it must find a race between threads and one in a parallel region, and none where there is none.
add_executable(planted_race tests/tsan/planted_race.cc)
target_link_libraries(planted_race PRIVATE lorikeet_flags OpenMP::OpenMP_CXX)
add_custom_target(tsan_tests DEPENDS planted_race)
foreach(kind threads openmp none)
  add_test(NAME planted_race_${kind} COMMAND planted_race ${kind})
  set_tests_properties(planted_race_${kind} PROPERTIES LABELS tsan ENVIRONMENT ${tsan_options})
endforeach()
set_tests_properties(planted_race_threads planted_race_openmp PROPERTIES
  PASS_REGULAR_EXPRESSION "WARNING: ThreadSanitizer: data race")

# lorikeet_tsan_test(NAME): the fast tests of module NAME, if they are among those to run.
function(lorikeet_tsan_test name)
  if(name IN_LIST tsan_modules)
    add_dependencies(tsan_tests ${name}_test)
    set_property(TEST ${name} APPEND PROPERTY LABELS tsan)
    set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT ${tsan_options})
  endif()
endfunction()
