// Package membership makes a process a member of its cluster.
//
// OpenFolder locks the data folder, which remembers whose it is; Join enters the process in the
// cluster's nodes with a new generation; Presence keeps its lease and ends the process when a newer
// one of the same node has started.
//
//	folder, err := membership.OpenFolder(h.FS, dir, "localcluster", "n1")
//	defer errs.CloseInto(&err, folder)
//	me, err := membership.Join(ctx, cfg, store, folder, h)
//
// # Files of the folder (format 1)
//
//	LOCK       held while a process uses the folder
//	identity   JSON: format, cluster, fingerprint, node, id, generation
package membership
