package snapshot

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"reprise/pkg/id"
	"reprise/pkg/lsn"
)

const (
	latestFile   = "latest.json"
	metadataFile = "metadata.json"
	folderPrefix = "lsn_"
	lsnDigits    = 20 // of the largest uint64
)

// prefixOf is the folder of a partition, with its slash.
func prefixOf(p id.Partition) string { return strconv.Itoa(int(p)) + "/" }

// folderOf is the folder of a snapshot in that of its partition. Their names sort by LSN.
func folderOf(at lsn.LSN, s id.Snapshot) string {
	return fmt.Sprintf("%s%0*d-%s", folderPrefix, lsnDigits, uint64(at), s)
}

// parseFolder decodes folderOf.
func parseFolder(name string) (at lsn.LSN, s id.Snapshot, ok bool) {
	rest, ok := strings.CutPrefix(name, folderPrefix)
	if !ok {
		return 0, s, false
	}
	digits, text, ok := strings.Cut(rest, "-")
	if !ok || len(digits) != lsnDigits {
		return 0, s, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, s, false
	}
	s, err = id.ParseSnapshot(text)
	return lsn.LSN(n), s, err == nil
}

// objectName is the name of a data file in the folder of the snapshot that uploaded it. Two stores number their files
// alike, and so does one that was set back: its incarnation and the checksum tell them apart.
func objectName(f *File) string {
	return fmt.Sprintf("%016x-%s-%s", f.Incarnation, f.Checksum[:checksumShort], f.Name)
}

// checksumShort is how many digits of a checksum stand in a name. The whole one is compared.
const checksumShort = 16

// plainName tells whether name may be a file in a restored folder: nothing that leads out of it.
func plainName(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 255 {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// splitPath splits the path of an object below the folder of its partition.
func splitPath(p string) (at lsn.LSN, name string, ok bool) {
	dir, name := path.Split(p)
	if !plainName(name) || dir == "" {
		return 0, "", false
	}
	at, _, ok = parseFolder(strings.TrimSuffix(dir, "/"))
	return at, name, ok
}
