# Where jobs run: as for every recipe. Write this recipe's own choice below.
. ../cmd.sh
