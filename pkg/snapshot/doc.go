// Package snapshot keeps copies of partition stores in an object store.
//
// A Repository is one folder of an object store; each partition has a folder in it. docs/formats/snapshot.md draws what
// stands there. A snapshot is made in this order:
//
//	its files, in a folder that no other attempt has; those that a retained snapshot holds already are left out
//	its metadata, which names every file with its size and checksum
//	latest.json, put only if it is still the one that was read at the beginning
//	the deletion of what it and the snapshots it retains do not need
//
// A crash between two steps leaves files that nobody names. What may be deleted follows from one rule: whoever puts a
// pointer names files of the pointer it read and of its own folder, whose LSN is higher. So what lies in a folder at or
// below the LSN of a pointer, and is not named by it, is not named ever again.
//
// The checksums find damage and disks that were set back; they do not keep out somebody who may write to the bucket.
package snapshot
