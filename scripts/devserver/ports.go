package devserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// freePorts returns n different TCP ports of the loopback interface without a listener. Another program may open one of them
// before the caller does, so the caller must be able to try again.
func freePorts(ctx context.Context, n int) (ports []int, err error) {
	var config net.ListenConfig
	var listeners []net.Listener
	// All listeners stay open until the last port is found, so that all ports differ.
	defer func() {
		for _, listener := range listeners {
			_ = listener.Close()
		}
	}()
	for range n {
		listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		listeners = append(listeners, listener)
		address, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return nil, errors.New("find a free port: the listener has no TCP address")
		}
		ports = append(ports, address.Port)
	}
	return ports, nil
}

// portTaken reports whether a server's output says that its port is in use.
func portTaken(output string) bool {
	return strings.Contains(output, "address already in use")
}
