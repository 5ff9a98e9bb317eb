# Filled as rooms get installed.
