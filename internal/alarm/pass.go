package alarm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"serin/internal/cloudwatch"
)

const (
	tick      = 10 * time.Second
	arrival   = 3 * time.Second // that measurements have to be written
	pruneTick = time.Hour
	// together is how many alarms change in one transaction.
	together = 200
	// compositeTime is how reasons of composite alarms write times.
	compositeTime = "Monday 02 January, 2006 15:04:05 MST"
)

// Run evaluates alarms and carries out actions until the context ends.
func (s *Service) Run(ctx context.Context) error {
	go s.Act(ctx)
	timer := time.NewTimer(s.untilTick())
	defer timer.Stop()
	pruned := s.Now()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-s.composite:
			err = s.evaluateComposites(ctx, s.Now())
		case <-timer.C:
			now := s.Now()
			err = s.Pass(ctx, now)
			if now.Sub(pruned) >= pruneTick && err == nil {
				pruned = now
				err = s.prune(ctx, now)
			}
			timer.Reset(s.untilTick())
		}
		if err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "alarms could not be evaluated", "error", err)
		}
	}
}

// untilTick is how long until measurements of the present ten seconds have been written.
func (s *Service) untilTick() time.Duration {
	now := s.Now().Add(-arrival)
	return now.Truncate(tick).Add(tick).Sub(now)
}

// Pass evaluates every alarm that has periods which ended since it was evaluated last, and then the composite ones.
func (s *Service) Pass(ctx context.Context, now time.Time) error {
	if s.Shared && now.Add(-arrival).Truncate(time.Minute).After(now.Add(-arrival-tick)) {
		if err := s.Load(ctx); err != nil {
			return err
		}
	}
	due, looks := s.due(now.Add(-arrival))
	next := map[string]verdict{}
	err := s.Metrics.See(ctx, looks, func(i int, points []cloudwatch.Seen, err error) {
		e := due[i]
		if err != nil {
			s.Log.WarnContext(ctx, "an alarm could not be evaluated", "alarm", e.Name, "error", err)
			return
		}
		s.evaluated[e.Name] = evaluation{looks[i].End, e.Configured}
		v := e.rule.Decide(e.State.Value, pointsOf(points), looks[i].End)
		if v.State != e.State.Value {
			next[e.Name] = verdict{v, e}
		}
	})
	if err != nil {
		return err
	}
	if err := s.apply(ctx, next, now); err != nil {
		return err
	}
	return s.evaluateComposites(ctx, now)
}

// verdict is what an evaluation says of an alarm as it was then.
type verdict struct {
	Verdict

	of *entry
}

func pointsOf(seen []cloudwatch.Seen) []Point {
	points := make([]Point, len(seen))
	for i, p := range seen {
		points[i] = Point(p)
	}
	return points
}

// due returns the alarms to evaluate at a time, and what to look at for each.
func (s *Service) due(at time.Time) (due []*entry, looks []cloudwatch.Look) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for name := range s.evaluated {
		if s.book[name] == nil {
			delete(s.evaluated, name)
		}
	}
	for _, e := range s.book {
		if e.watch == nil {
			continue
		}
		end := at.Truncate(e.step())
		if last := s.evaluated[e.Name]; !end.After(last.end) && last.configured.Equal(e.Configured) {
			continue
		}
		due = append(due, e)
		looks = append(looks, cloudwatch.Look{Watch: e.watch, End: end, Periods: e.rule.Range()})
	}
	return due, looks
}

// apply puts alarms into the states that they were found to be in, unless they have changed meanwhile.
func (s *Service) apply(ctx context.Context, next map[string]verdict, now time.Time) error {
	now = now.UTC()
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(next)), together) {
		err := s.update(ctx, chunk, func(name string, a *Alarm) (*write, error) {
			v := next[name]
			if a == nil || a.Metric == nil || !a.Configured.Equal(v.of.Configured) || a.State.Value != v.of.State.Value {
				return nil, nil //nolint:nilnil // there is nothing to write
			}
			r := v.of.rule
			reason := r.reason(v.Verdict, a.State.Value, a.Metric.Datapoints != nil)
			data := r.data(v.Verdict, string(a.Metric.Unit), a.Metric.stat(), now)
			return a.transition(v.State, bounded(reason), data, now, s.Place), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func bounded(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	return reason[:maxReason-len("...")] + "..."
}

// evaluateComposites puts composite alarms into the states that their rules say. One may refer to another: those that
// are referred to come first.
func (s *Service) evaluateComposites(ctx context.Context, now time.Time) error {
	for range maxNesting { // what is left then waits for the next pass
		next := s.outdated()
		if len(next) == 0 {
			return nil
		}
		if err := s.applyComposites(ctx, next, now); err != nil {
			return err
		}
	}
	return nil
}

// outdated returns the composite alarms whose rule says something else than their state, as far as all that they refer
// to is settled.
func (s *Service) outdated() map[string]types.StateValue {
	s.mu.RLock()
	defer s.mu.RUnlock()
	next := map[string]types.StateValue{}
	settled := map[string]bool{}
	var check func(e *entry) bool
	check = func(e *entry) bool {
		if done, ok := settled[e.Name]; ok {
			return done
		}
		settled[e.Name] = false // a circle, which nobody can save, would end here
		for _, name := range e.children {
			if child := s.book[name]; child != nil && child.Composite != nil && !check(child) {
				return false
			}
		}
		want := types.StateValueOk
		if e.expression(s.stateLocked) {
			want = types.StateValueAlarm
		}
		if settled[e.Name] = want == e.State.Value; !settled[e.Name] {
			next[e.Name] = want
		}
		return settled[e.Name]
	}
	for _, e := range s.book {
		if e.Composite != nil {
			check(e)
		}
	}
	return next
}

func (s *Service) stateLocked(name string) types.StateValue {
	if e, ok := s.book[name]; ok {
		return e.State.Value
	}
	return ""
}

func (s *Service) applyComposites(ctx context.Context, next map[string]types.StateValue, now time.Time) error {
	now = now.UTC()
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(next)), together) {
		err := s.update(ctx, chunk, func(name string, a *Alarm) (*write, error) {
			e, ok := s.alarm(name)
			if a == nil || a.Composite == nil || !ok || !a.Configured.Equal(e.Configured) {
				return nil, nil //nolint:nilnil // there is nothing to write
			}
			reason, data := s.because(e)
			return a.transition(next[name], bounded(reason), data, now, s.Place), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// because names the alarm that changed last among those that a composite one refers to.
func (s *Service) because(e *entry) (reason, data string) {
	type triggered struct {
		ARN   string `json:"arn"`
		State struct {
			Value     types.StateValue `json:"value"`
			Timestamp string           `json:"timestamp"`
		} `json:"state"`
	}
	var newest *entry
	for _, name := range e.children {
		if child, ok := s.alarm(name); ok && (newest == nil || child.State.Updated.After(newest.State.Updated)) {
			newest = child
		}
	}
	if newest == nil {
		return "The rule " + e.Composite.Rule + " refers to no alarm.", ""
	}
	var t triggered
	t.ARN, t.State.Value, t.State.Timestamp = newest.ARN, newest.State.Value, newest.State.Updated.Format(reasonDataTime)
	return fmt.Sprintf("%s transitioned to %s at %s", newest.ARN, newest.State.Value, newest.State.Updated.Format(compositeTime)),
		jsonText(map[string]any{"triggeringAlarms": []triggered{t}})
}
