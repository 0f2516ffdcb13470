# What has to be on the PATH: the same for every recipe.
. ../path.sh
