# Versions of third-party parts from versions.json, and the modules that find them.
list(APPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")
set(GGMLKIT_VERSIONS "${CMAKE_CURRENT_LIST_DIR}/../versions.json")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${GGMLKIT_VERSIONS}")

# Sets `variable` to the oldest version of `part` that will do.
function(ggmlkit_oldest_version part variable)
  file(READ "${GGMLKIT_VERSIONS}" versions)
  string(JSON oldest GET "${versions}" "${part}" at_least)
  set(${variable} "${oldest}" PARENT_SCOPE)
endfunction()

ggmlkit_oldest_version(pybind11 GGMLKIT_PYBIND11_VERSION)
ggmlkit_oldest_version(SIMDe GGMLKIT_SIMDE_VERSION)
