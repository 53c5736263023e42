package alarm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/go-cmp/cmp"
)

func states(name string) types.StateValue {
	switch name[0] {
	case 'a':
		return types.StateValueAlarm
	case 'o':
		return types.StateValueOk
	case 'i':
		return types.StateValueInsufficientData
	default:
		return ""
	}
}

func TestExpressions(t *testing.T) {
	for text, want := range map[string]bool{
		`TRUE`:                                 true,
		`false`:                                false,
		`ALARM(a1)`:                            true,
		`ALARM("a b (c), \"d\"")`:              true,
		`ALARM('a 1')`:                         true,
		`OK(a1)`:                               false,
		`INSUFFICIENT_DATA(i)`:                 true,
		`NOT ALARM(a)`:                         false,
		`NOT NOT ALARM(a)`:                     true,
		`ALARM(a) AND OK(o)`:                   true,
		`ALARM(o) OR ALARM(a) AND OK(o)`:       true,
		`(ALARM(a) OR TRUE) AND FALSE`:         false,
		`ALARM(a) OR TRUE AND FALSE`:           true,
		`NOT ALARM(o) AND ALARM(a)`:            true,
		"ALARM(a)\n\tand\r\nok ( o )":          true,
		`AT_LEAST(2, ALARM, (a1, a2, o))`:      true,
		`AT_LEAST(2, ALARM, (a1, o1, o))`:      false,
		`AT_LEAST(50%, NOT OK, (a, o, o2, i))`: true,
		`AT_LEAST(51%, NOT OK, (a, o, o2, i))`: false,
		`ALARM(arn:aws:cloudwatch:us-east-1:000000000000:alarm:x)`: true, // begins with an a
		`ALARM(gone) OR OK(gone) OR INSUFFICIENT_DATA(gone)`:       false,
		`NOT ALARM(gone)`: true,
	} {
		e, _, err := parseExpression(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := e(states); got != want {
			t.Errorf("%s is %v", text, got)
		}
	}
	_, children, err := parseExpression(`ALARM(a) AND (OK(b) OR NOT ALARM("a")) AND AT_LEAST(1, OK, (c, b))`)
	if diff := cmp.Diff([]string{"a", "b", "c"}, children); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestExpressionsThatAreNone(t *testing.T) {
	many := make([]string, maxChildren+1)
	for i := range many {
		many[i] = fmt.Sprintf("ALARM(a%d)", i)
	}
	for _, text := range []string{
		"", " ", "ALARM", "ALARM()", "ALARM(a", "ALARM(a b)", "ALARM(a,b)", "ALARM(a) OK(b)", "ALARM(a) AND", "OR", "NOT", "()", "(TRUE", "TRUE)",
		`ALARM("a)`, `"ALARM"(a)`, "MAYBE(a)", "AT_LEAST(0, OK, (a))", "AT_LEAST(2, OK, (a))", "AT_LEAST(101%, OK, (a))", "AT_LEAST(1, OK, ())",
		"AT_LEAST(x, OK, (a))", "AT_LEAST(1, OK, a)", `ALARM("")`,
		strings.Repeat("(", maxNesting+2) + "TRUE" + strings.Repeat(")", maxNesting+2), strings.Repeat("NOT ", maxNesting+2) + "TRUE",
		strings.Join(many, " OR "), strings.Repeat("TRUE OR ", maxElements) + "TRUE", strings.Repeat(" ", maxExpression) + "TRUE",
	} {
		if _, _, err := parseExpression(text); err == nil {
			t.Errorf("%.60q was accepted", text)
		}
	}
}

// FuzzExpression looks for texts on which the parser panics or does not end, or that name alarms which it does not ask
// for.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		`ALARM("x") AND (OK(y) OR NOT INSUFFICIENT_DATA('z'))`, `AT_LEAST(50%, NOT ALARM, (a, "b"))`, `((((`, `ALARM(a\"b)`, `"\`, "TRUE OR\x00FALSE",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, children, err := parseExpression(text)
		if err != nil {
			return
		}
		if len(children) > maxChildren {
			t.Fatalf("%d children", len(children))
		}
		known := map[string]bool{}
		for _, c := range children {
			known[c] = true
		}
		e(func(name string) types.StateValue {
			if !known[name] {
				t.Fatalf("asks for %q, which is not among %q", name, children)
			}
			return types.StateValueOk
		})
	})
}
