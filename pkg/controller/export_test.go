package controller

import "time"

// Look has the roster look once, that much too late.
func (r *Roster) Look(late time.Duration) { r.look(late) }

// Begin says that the process starts now.
func (l *Leaders) Begin() { l.begin() }

// Look has the part look once.
func (l *Leaders) Look() { l.look() }
