# What has to be on the PATH: programs for pictures.
needed_programs="gan-train image-gan-generate image-gan-evaluate image-gan-report"
needed_extras=train,images,metrics,report
. ../path.sh
