package host

const (
	reserveMax = 1 << 30
	// reserveShare of a small disk is kept free, for it could not be used otherwise.
	reserveShare = 8
)

// Reserve is how many bytes of a disk of that size stay free: what is configured, else 1 GiB, but at most
// an eighth of the disk.
func Reserve(configured, total uint64) uint64 {
	if configured > 0 {
		return configured
	}
	return min(reserveMax, total/reserveShare)
}
