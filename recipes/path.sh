# What the recipe needs on the PATH: its programs, by default those for speech.
for program in ${needed_programs:-gan-train segan-enhance segan-evaluate segan-data segan-report}; do
  if ! command -v "$program" > /dev/null; then
    echo "$program: not found; install the package first: pip install '.[${needed_extras:-train,metrics,report}]'" >&2
    exit 2
  fi
done
