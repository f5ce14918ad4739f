# CHAT_FAULT builds a chatd with a mistake in it, to see whether a test notices. A copy of the source is patched, in the
# build's folder: the source itself knows nothing of faults. CHAT_SOURCE is where the modules' files are.
set(CHAT_FAULT "" CACHE STRING "A mistake to make: the name of a patch in tests/conformance/chatd_faults")
set(CHAT_SOURCE ${PROJECT_SOURCE_DIR})
set(CHAT_VERSION ${PROJECT_VERSION})

# chat_copy_source(<folder>): only what differs is written, so that only that is compiled again.
function(chat_copy_source folder)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
       ${PROJECT_SOURCE_DIR}/include/* ${PROJECT_SOURCE_DIR}/src/*)
  foreach(file IN LISTS files)
    get_filename_component(parent ${folder}/${file} DIRECTORY)
    file(MAKE_DIRECTORY ${parent})
    file(COPY_FILE ${PROJECT_SOURCE_DIR}/${file} ${folder}/${file} ONLY_IF_DIFFERENT)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  endforeach()
endfunction()

if(CHAT_FAULT)
  set(faults ${PROJECT_SOURCE_DIR}/tests/conformance/chatd_faults)
  if(NOT EXISTS ${faults}/${CHAT_FAULT}.patch)
    file(GLOB names RELATIVE ${faults} ${faults}/*.patch)
    list(TRANSFORM names REPLACE "\\.patch$" "")
    list(JOIN names " " names)
    message(FATAL_ERROR "CHAT_FAULT: there is no fault '${CHAT_FAULT}'. There are: ${names}")
  endif()
  set(CHAT_SOURCE ${PROJECT_BINARY_DIR}/faulty)
  string(APPEND CHAT_VERSION "+fault.${CHAT_FAULT}")
  chat_copy_source(${CHAT_SOURCE})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${faults}/${CHAT_FAULT}.patch)
  find_program(CHAT_PATCH patch REQUIRED)
  execute_process(COMMAND ${CHAT_PATCH} --strip=1 --fuzz=0 --silent --no-backup-if-mismatch
                          --input=${faults}/${CHAT_FAULT}.patch
                  WORKING_DIRECTORY ${CHAT_SOURCE} COMMAND_ERROR_IS_FATAL ANY)
endif()
