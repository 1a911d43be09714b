package peer

// For the fuzz targets.
var (
	CheckURL    = checkURL
	CheckOpen   = checkOpen
	CheckAssign = checkAssign
	CheckMirror = checkMirror
	CheckPush   = checkPush
	PublicURL   = publicURL
)
