package console

import (
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"serin/internal/sandbox"
)

// settingsView is what the server is and does, for people.
type settingsView struct {
	Endpoint, Region, Account string
	KeyID, Actor              string
	ReadOnly                  bool
	Protections               []sandbox.Protection
	Missing                   int
	Network                   string // why functions cannot reach it
	CodeBytes, CodeLimit      int64
	Functions                 int
	Concurrency               int
	KeepWarm                  string
	Login                     bool
}

// CodePercent is how much of the code storage is used.
func (v settingsView) CodePercent() float64 { return 100 * float64(v.CodeBytes) / float64(v.CodeLimit) }

func (c *Console) showSettings(w http.ResponseWriter, v *visit) error {
	account, err := c.Overview.Control.GetAccountSettings(v.Context(), &lambda.GetAccountSettingsInput{})
	if err != nil {
		return err
	}
	s := settingsView{
		Endpoint: c.Endpoint, Region: c.Region, Account: c.Account, KeyID: v.session.keyID, Actor: v.session.Actor, ReadOnly: v.session.ReadOnly,
		Protections: c.Protections(), CodeBytes: account.AccountUsage.TotalCodeSize, CodeLimit: account.AccountLimit.TotalCodeSize,
		Functions: int(account.AccountUsage.FunctionCount), Concurrency: int(account.AccountLimit.ConcurrentExecutions),
		KeepWarm: seconds(c.KeepWarm.Seconds()), Login: c.NoAuth == nil,
	}
	for _, p := range s.Protections {
		if !p.On {
			s.Missing++
		}
	}
	if err := c.NoNetwork(); err != nil {
		s.Network = err.Error()
	}
	return c.show(w, v, "settings", view{Title: "Settings", Tab: "settings", Data: s})
}
