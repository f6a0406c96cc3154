package util // want name

import (
	"testing"
	"time"
)

func TestSleeps(t *testing.T) {
	time.Sleep(time.Second) // want sleep
	go t.Log("a test may")
}
