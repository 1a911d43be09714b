package flow

import "time"

// Bounds are times that no way of distributing a resource can beat. A bound
// whose rates are unknown is 0.

// ClientServer is how long a server that gives so many bytes per second takes
// to send everybody a copy of their own.
func ClientServer(size int64, clients int, server float64) time.Duration {
	return over(float64(size)*float64(clients), server)
}

// OneCopy is how long the lines together take to bring one copy: no swarm that
// starts with nothing is faster.
func OneCopy(size int64, lines float64) time.Duration { return over(float64(size), lines) }

// PeerToPeer is how long it takes at least until all clients have a copy: the
// seeds send each byte once, the slowest client receives each byte, and all
// uploads together carry a copy for each. The rates are bytes per second; down
// is that of the slowest client, 0 if it is not known.
func PeerToPeer(size int64, seeds, down float64, up []float64) time.Duration {
	sum := seeds
	for _, u := range up {
		sum += u
	}
	once, slowest := OneCopy(size, seeds), over(float64(size), down)
	return max(once, slowest, over(float64(size)*float64(len(up)), sum))
}

func over(bytes, rate float64) time.Duration {
	if rate <= 0 {
		return 0
	}
	return duration(bytes / rate)
}
