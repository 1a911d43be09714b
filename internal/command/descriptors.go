package command

// ownDescriptors is what a program keeps of its file descriptors for itself:
// listeners, disk, trackers, name resolution, logs.
const ownDescriptors = 32

// Descriptors is how many connections this process can have for others; 0: as
// many as it likes, or not known. It keeps a few for itself, half where it may
// open very few.
func Descriptors() int { return share(descriptorLimit()) }

func share(limit int) int { return limit - min(ownDescriptors, limit/2) }
