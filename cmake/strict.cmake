# What every source of ours is compiled with: chat_strict, linked privately by each target.
option(CHAT_WERROR "Treat compilers' warnings as errors" ON)
set(CHAT_SANITIZE "" CACHE STRING "Sanitizers for everything, such as address,undefined")

add_library(chat_strict INTERFACE)
target_compile_options(chat_strict INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
  -Wcast-qual -Wpointer-arith -Wundef -Wvla
  $<$<BOOL:${CHAT_WERROR}>:-Werror>)
# An assert is an answer to our own bugs, in every build type.
target_compile_options(chat_strict INTERFACE -UNDEBUG)
target_compile_definitions(chat_strict INTERFACE _GNU_SOURCE)

if(CHAT_SANITIZE)
  add_compile_options(-fsanitize=${CHAT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CHAT_SANITIZE})
endif()

option(CHAT_COVERAGE "Count which lines run (gcov); see ci/coverage" OFF)
if(CHAT_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
