# What the recipe needs on the PATH.
for program in gan-train segan-enhance segan-evaluate segan-data segan-report; do
  if ! command -v "$program" > /dev/null; then
    echo "$program: not found; install the package first: pip install '.[train,metrics,report]'" >&2
    exit 2
  fi
done
