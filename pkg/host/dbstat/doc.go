// Package dbstat shows how the Pebble databases of a process stand, under the names that the contract has for RocksDB.
//
// A Stat belongs to one database. Its series carry the label db, such as partition-3 or log-server. Histograms, and the block cache
// that several share, are of a kind of databases, such as partitions: one partition more is 31 series more.
//
//	stat := dbstat.New(h, "partitions", "partition-3", false)
//	options.EventListener = stat.Listener()
//	stat.Opened(db, cache)
//	defer stat.Closing() // before the database is closed
//
// Stat.mu is held while Pebble is asked, which takes Pebble's own lock for a moment; it is taken by scrapes, by Opened and by
// Closing, and by nobody who reads or writes rows.
package dbstat
