package progress

// The pure pieces that tests look at by themselves.
var (
	FormatBytes    = formatBytes
	FormatOf       = formatOf
	FormatRate     = formatRate
	FormatDuration = formatDuration
	FormatETA      = formatETA
	Percent        = percent
	Clean          = clean
	Cut            = cut
	Cells          = cells
	NameOf         = nameOf
	HostOf         = hostOf
)
