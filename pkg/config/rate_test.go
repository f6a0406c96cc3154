package config

import "testing"

func TestRate(t *testing.T) {
	for _, row := range []struct {
		text  any
		each  Rate // a second
		again string
	}{
		{"10/s", 10, "10/s"}, {"600/min", 10, "10/s"}, {"90/h", 0.025, "1.5/min"}, {"1 / h", 1.0 / 3600, "1/h"},
		{"10", 0, ""}, {"x/s", 0, ""}, {"0/s", 0, ""}, {"-1/s", 0, ""}, {"NaN/s", 0, ""}, {"1/day", 0, ""}, {int64(5), 0, ""},
	} {
		var r Rate
		err := r.set(row.text)
		if (err != nil) != (row.each == 0) || r != row.each {
			t.Errorf("%v: %v, %v", row.text, r, err)
		}
		if err == nil && r.get() != row.again {
			t.Errorf("%v is shown as %v", row.text, r.get())
		}
	}
	five, ten, half := uint32(5), Rate(10), Rate(0.5)
	for _, row := range []struct {
		t     Throttling
		rate  float64
		holds uint32
	}{{Throttling{}, 0, 0}, {Throttling{Rate: &ten}, 10, 10}, {Throttling{Rate: &half}, 0.5, 1}, {Throttling{Rate: &ten, Capacity: &five}, 10, 5}} {
		if rate, holds := row.t.Bucket(); rate != row.rate || holds != row.holds {
			t.Errorf("%v tokens a second, %d at most; want %+v", rate, holds, row)
		}
	}
}
