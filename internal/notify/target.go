package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"serin"
	"serin/internal/release"
)

// Target is who is told.
type Target struct {
	// Name is how the target is called where people see it. It gives no secret away.
	Name string
	form form
	url  string
	// secret signs CloudEvents; token and channel are Slack's.
	secret, token, channel string
}

// form is how a target is told.
type form int

const (
	cloudEvents  form = iota
	slackWebhook      // takes messages, and cannot change them
	slackChannel      // the Web API: one message per release, edited in place
)

// SignatureHeader carries t=<seconds since 1970>,v1=<HMAC-SHA-256 in hexadecimal> over those seconds, a dot and the body.
const SignatureHeader = "Serin-Signature"

// Secrets are what targets need and nobody may see on a command line.
type Secrets struct {
	Webhook    string // signs CloudEvents; "" for none
	SlackToken string // of a bot that may write to the channel
	SlackURL   string // of Slack's Web API; "" for https://slack.com/api
}

// ParseTarget reads a target: an http or https URL, of which those at hooks.slack.com are Slack's, or slack:CHANNEL.
//
// Errors: KindInvalid.
func ParseTarget(text string, s Secrets) (Target, error) {
	if channel, ok := strings.CutPrefix(text, "slack:"); ok {
		if s.SlackToken == "" || channel == "" {
			return Target{}, serin.Errorf(serin.KindInvalid, "notify: slack:CHANNEL needs a channel, and the token of a bot in SERIN_SLACK_TOKEN")
		}
		api := s.SlackURL
		if api == "" {
			api = "https://slack.com/api"
		}
		return Target{Name: text, form: slackChannel, url: strings.TrimSuffix(api, "/"), token: s.SlackToken, channel: channel}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return Target{}, serin.Errorf(serin.KindInvalid, "notify: %.100q is not an http or https URL or slack:CHANNEL", text)
	}
	sum := sha256.Sum256([]byte(text))
	t := Target{Name: u.Host + "#" + hex.EncodeToString(sum[:3]), url: text, secret: s.Webhook}
	if u.Host == "hooks.slack.com" {
		t.form = slackWebhook
	}
	return t, nil
}

// cloudEvent is the envelope of CloudEvents 1.0 in structured mode.
type cloudEvent[T any] struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	Data            T         `json:"data"`
}

// request returns the request that tells a notice, nil if the target need not know. message is what the target called
// its first message about the release.
func (t Target) request(ctx context.Context, n *release.Notice, message string, now time.Time) (*http.Request, error) {
	switch t.form {
	case slackWebhook:
		if n.Event.Type == serin.ReleaseStep || n.Event.Type == serin.ReleaseResumed {
			return nil, nil //nolint:nilnil // every message stays, so only what matters gets one
		}
		return post(ctx, t.url, map[string]any{"text": slackText(n)})
	case slackChannel:
		body := map[string]any{"channel": t.channel, "text": slackText(n), "unfurl_links": false}
		method := "/chat.postMessage"
		if channel, ts, ok := strings.Cut(message, "/"); ok {
			method, body["channel"], body["ts"] = "/chat.update", channel, ts
		}
		req, err := post(ctx, t.url+method, body)
		if err == nil {
			req.Header.Set("Authorization", "Bearer "+t.token)
		}
		return req, err
	default:
		return t.cloudEvent(ctx, n, now)
	}
}

func (t Target) cloudEvent(ctx context.Context, n *release.Notice, now time.Time) (*http.Request, error) {
	return cloudEventRequest(ctx, t.url, t.secret, cloudEvent[*release.Notice]{
		SpecVersion: specVersion, ID: n.ID, Source: "/serin/functions/" + url.PathEscape(n.Function), Type: "dev.serin.release." + string(n.Event.Type),
		Subject: n.Function + ":" + n.Alias, Time: n.Event.At, DataContentType: "application/json", Data: n,
	}, now)
}

func signature(secret string, body []byte, now time.Time) string {
	seconds := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(seconds + "."))
	_, _ = mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

func post(ctx context.Context, to string, body any) (*http.Request, error) {
	document, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(document))
	if err != nil {
		return nil, errors.New("the URL is none")
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	return req, nil
}

// message reads the answer to a notice that was taken. Slack answers 200 to what it refuses.
func (t Target) message(answer []byte) (string, error) {
	if t.form != slackChannel {
		return "", nil
	}
	var reply struct {
		OK                 bool
		Error, Channel, TS string
	}
	if err := json.Unmarshal(answer, &reply); err != nil {
		return "", errors.New("the answer is not Slack's")
	}
	if !reply.OK {
		return "", fmt.Errorf("slack refuses: %.100s", reply.Error)
	}
	if reply.Channel == "" || reply.TS == "" || strings.ContainsRune(reply.Channel, '/') || strings.ContainsRune(reply.Channel+reply.TS, 0) {
		return "", nil
	}
	return reply.Channel + "/" + reply.TS, nil
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slackText is the whole story of a release so far, as one message.
func slackText(n *release.Notice) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s *%s %s* %s → %s: %s", icon(n), escape.Replace(n.Function), escape.Replace(n.Alias), n.From, n.To, headline(n))
	if n.Message != "" {
		fmt.Fprintf(&b, "\n> %s", escape.Replace(text(n.Message)))
	}
	from := max(0, len(n.Log)-maxLines)
	for _, e := range n.Log[from:] {
		fmt.Fprintf(&b, "\n`%s` %s", e.At.UTC().Format("15:04:05"), line(e))
	}
	if n.Canary.Requests > 0 {
		fmt.Fprintf(&b, "\nversion %s failed %d of %d, version %s %d of %d; %s", n.To, n.Canary.Errors, n.Canary.Requests,
			n.From, n.Baseline.Errors, n.Baseline.Requests, n.Verdict)
	}
	for _, f := range n.New {
		fmt.Fprintf(&b, "\nnew in version %s: %s, %d×", n.To, escape.Replace(text(f.Text)), f.Canary)
	}
	return b.String()
}

const maxLines = 20 // of a release's log in a message

func line(e serin.ReleaseEvent) string {
	words := map[serin.ReleaseEventType]string{
		serin.ReleaseStarted: "started", serin.ReleaseStep: "at " + strconv.FormatFloat(e.Canary, 'g', 4, 64) + " %",
		serin.ReleaseHeld: "held", serin.ReleaseResumed: "resumed", serin.ReleasePromoted: "promoted",
		serin.ReleaseRolledBack: "rolled back", serin.ReleaseRefused: "refused", serin.ReleaseConflict: "stopped", serin.ReleaseLeft: "stopped",
	}[e.Type]
	if e.By != "" {
		words += " by " + e.By
	}
	if e.Reason != "" {
		words += ": " + e.Reason
	}
	return escape.Replace(text(words))
}

func headline(n *release.Notice) string {
	switch n.Phase {
	case serin.PhaseEnded, serin.PhaseWatching:
		return string(n.Event.Type)
	default:
		return string(n.Phase)
	}
}

func icon(n *release.Notice) string {
	switch n.Event.Type {
	case serin.ReleasePromoted:
		return ":white_check_mark:"
	case serin.ReleaseRolledBack, serin.ReleaseRefused, serin.ReleaseConflict, serin.ReleaseLeft:
		return ":leftwards_arrow_with_hook:"
	case serin.ReleaseHeld:
		return ":double_vertical_bar:"
	default:
		return ":hatching_chick:"
	}
}
