package daemon

import "testing"

func TestReturnLargeBlocks(t *testing.T) {
	if !returnLargeBlocks() {
		t.Error("the C library does not take the threshold")
	}
}
