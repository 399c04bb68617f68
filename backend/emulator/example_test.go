package emulator_test

import (
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/ftd"
)

// A login takes effect even if its answer is lost. The credential is live until it expires.
func Example() {
	srv, err := emulator.Start(emulator.Config{PlainHTTP: true, Seed: 1}, ftd.New())
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = srv.Close() }()
	if err := srv.AddFault(emulator.Fault{Vendor: "ftd", Route: "password", DropAfter: true, Times: 1}); err != nil {
		log.Fatal(err)
	}
	root := srv.State().Vendors["ftd"].Credentials
	body := fmt.Sprintf(`{"grant_type":"password","username":%q,"password":%q}`, root["username"], root["password"])
	resp, err := http.Post(srv.URL("ftd")+"/api/fdm/latest/fdm/token", "application/json", strings.NewReader(body))
	if err == nil {
		_ = resp.Body.Close()
	}
	fmt.Println("answered:", err == nil)
	fmt.Println("live:", srv.Credentials("ftd")[0].Live)
	if err := srv.Advance(time.Hour); err != nil {
		log.Fatal(err)
	}
	fmt.Println("ended by:", srv.Credentials("ftd")[0].EndedBy)
	// Output:
	// answered: false
	// live: true
	// ended by: expired
}
