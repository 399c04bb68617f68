package pool

import (
	"slices"
	"time"
)

// Silent reports whether a request of a revocation of the config waits for the vendor's answer for longer than d, in
// real time. The wait for a turn does not count.
func (p *Pool) Silent(config string, d time.Duration) bool {
	p.mu.Lock()
	conn := p.open[config]
	p.mu.Unlock()
	return conn != nil && conn.silent(d)
}

func (c *Conn) silent(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.revoking, func(sent *time.Time) bool { return time.Since(*sent) > d })
}

// beginRevoking records that a request of a revocation is sent now. The caller must call end when it was answered or
// given up.
func (c *Conn) beginRevoking() (end func()) {
	sent := time.Now()
	c.mu.Lock()
	c.revoking = append(c.revoking, &sent)
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.revoking = slices.DeleteFunc(c.revoking, func(other *time.Time) bool { return other == &sent })
	}
}
